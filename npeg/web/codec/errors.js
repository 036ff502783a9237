/** The errors that npeg throws on purpose; each text is one line for people. */

export class NpegError extends Error {
  get name() {
    return this.constructor.name;
  }
}

/** The bytes are not a valid .npeg file. */
export class FormatError extends NpegError {}

/** The bytes end before the file does. */
export class TruncatedError extends FormatError {}

/** Refused because of a documented limit. */
export class LimitError extends NpegError {}

/** The image or an argument is not usable. */
export class InputError extends NpegError {}
