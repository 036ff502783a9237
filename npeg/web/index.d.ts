/** npeg in the browser: pictures to .npeg files and back, in a worker. */

export type Source = Uint8Array | ArrayBuffer | Blob;

export interface Work {
  /** Ends the work, whose promise then rejects with the signal's reason. */
  signal?: AbortSignal;
  /** Called with the share of the work that is done, 0 to 1. */
  onProgress?: (share: number) => void;
}

export interface EncodeOptions extends Work {
  /** 0 (smallest file) to 100 (best image), in steps of 0.5; 75 unless said otherwise. */
  quality?: number;
  /** "visual" for the smallest file that looks as good (the default), "psnr" for the least squared error. */
  tune?: "visual" | "psnr";
  /** 0, or 1 for a smaller file at equal quality in over twice the time (the default). */
  effort?: 0 | 1;
  /** Every pixel comes back as it was, whatever the quality. */
  lossless?: boolean;
}

export interface Info {
  version: number;
  modelId: number;
  /** Twice the quality, 0 to 200. */
  level: number;
  quality: number;
  /** That of the networks; a residual does the rest. */
  networksLevel: number;
  width: number;
  height: number;
  /** Of colour. */
  channels: 1 | 3;
  /** Whether alpha is beside them. */
  alpha: boolean;
  /** Whether the channels of RGB are equal everywhere. */
  neutral: boolean;
  /** Bits a sample of the source, 8 to 16; what is decoded has 8. */
  bitDepth: number;
  tileSize: number;
}

export interface Text {
  keyword: string;
  text: string;
  language: string;
  translated: string;
}

export interface Metadata {
  iccProfile?: Uint8Array;
  exif?: Uint8Array;
  xmp?: Uint8Array;
  iptc?: Uint8Array;
  comment?: Uint8Array;
  dpi?: [number, number];
  text?: Text[];
}

/** Decode a file to pixels of its own colour space, which is sRGB unless `metadata` has a profile. */
export function decode(source: Source, options?: Work): Promise<ImageData>;
/** Decode a file to a PNG file, which carries the colour profile: for an image element. */
export function decodeToPng(source: Source, options?: Work): Promise<Blob>;
/**
 * Yield PNG files of a .npeg file as it arrives, each with the bytes so far: after a tenth of them, then whenever
 * there is more to see, at last all of it. Where not all arrive, FormatError follows what did.
 */
export function decodeAsItArrives(
  answer: Response,
  options?: Work
): AsyncGenerator<{ blob: Blob; bytes: Uint8Array; isWhole: boolean }>;
/** Encode pixels of sRGB, and their alpha without loss. */
export function encode(image: ImageData, options?: EncodeOptions): Promise<Uint8Array>;
/** Return how many bits of a file are of each block of 16x16 pixels, `shape` being [rows, columns]. */
export function bitMap(source: Source, options?: Work): Promise<{ data: Float32Array; shape: [number, number] }>;
/** Return what the first 20 bytes of a file say. */
export function info(bytes: Uint8Array): Info;
/** Tell whether every pixel of a whole file is as it was: all tiles are exact. */
export function isLossless(bytes: Uint8Array): boolean;
/** Return a file's metadata. */
export function metadata(source: Source): Promise<Metadata>;
/** End the worker and give its memory back; the next call starts another. */
export function close(): void;

/** Base of every error that npeg throws on purpose. */
export class NpegError extends Error {}
/** The bytes are not a valid .npeg file. */
export class FormatError extends NpegError {}
/** Refused because of a documented limit. */
export class LimitError extends NpegError {}
/** The image or an argument is not usable. */
export class InputError extends NpegError {}
