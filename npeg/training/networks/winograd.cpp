// Winograd F(4x4, 3x3): 3x3 convolutions with padding 1, and their gradients.
//
// Tiles of 6x6 inputs, which overlap by two, give 4x4 outputs each. Between the transforms stand
// 36 products of matrices. A few tiles at a time go the whole way, so that what is between stays in
// the cache. Images are float32 (B, C, H, W) in channels_last, with C a multiple of 8.
// Source: A. Lavin and S. Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016.

#include <torch/extension.h>

#include <algorithm>
#include <cstring>
#include <vector>

namespace {

constexpr int64_t BLOCK = 8;  // channels at a time: a register of AVX2
constexpr int64_t PLANES = 36;
constexpr int64_t LINE = 16;  // floats of a cache line
constexpr int64_t CACHE = 1 << 16;  // floats of the planes of the tiles that go together

typedef float Block __attribute__((vector_size(4 * BLOCK)));  // of GCC and Clang

Block load(const float* from) {
  Block to;
  std::memcpy(&to, from, sizeof to);
  return to;
}

void store(const Block& from, float* to) { std::memcpy(to, &from, sizeof from); }

// The one-dimensional transforms of Lavin and Gray, of values `step` apart: o = B^T d.
inline void input(const Block* d, int step, Block* o) {
  const Block d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step],
              d5 = d[5 * step];
  const Block a = d4 - 4 * d2, b = d3 - 4 * d1, e = d4 - d2, f = 2 * (d3 - d1);
  o[0] = 4 * d0 - 5 * d2 + d4;
  o[step] = a + b;
  o[2 * step] = a - b;
  o[3 * step] = e + f;
  o[4 * step] = e - f;
  o[5 * step] = 4 * d1 - 5 * d3 + d5;
}

// d = B o: the transpose of `input`, for gradients.
inline void input_transposed(const Block* o, int step, Block* d) {
  const Block o0 = o[0], o1 = o[step], o2 = o[2 * step], o3 = o[3 * step], o4 = o[4 * step],
              o5 = o[5 * step];
  const Block a = o1 + o2, b = o1 - o2, e = o3 + o4, f = 2 * (o3 - o4);
  d[0] = 4 * o0;
  d[step] = 4 * o5 - 4 * b - f;
  d[2 * step] = -5 * o0 - 4 * a - e;
  d[3 * step] = b + f - 5 * o5;
  d[4 * step] = o0 + a + e;
  d[5 * step] = o5;
}

// y = A^T m: six values to four.
inline void output(const Block* m, int step, Block* y) {
  const Block m0 = m[0], m1 = m[step], m2 = m[2 * step], m3 = m[3 * step], m4 = m[4 * step],
              m5 = m[5 * step];
  const Block a = m1 + m2, b = m1 - m2, e = m3 + m4, f = m3 - m4;
  y[0] = m0 + a + e;
  y[step] = b + 2 * f;
  y[2 * step] = a + 4 * e;
  y[3 * step] = b + 8 * f + m5;
}

// m = A y: the transpose of `output`.
inline void output_transposed(const Block* y, int step, Block* m) {
  const Block y0 = y[0], y1 = y[step], y2 = y[2 * step], y3 = y[3 * step];
  const Block a = y0 + y2, b = y1 + y3, e = y0 + 4 * y2, f = 2 * y1 + 8 * y3;
  m[0] = y0;
  m[step] = a + b;
  m[2 * step] = a - b;
  m[3 * step] = e + f;
  m[4 * step] = e - f;
  m[5 * step] = y3;
}

// c (rows, 8 BLOCKS) += a (rows, n) b (n, 8 BLOCKS), in registers. Elements of a are `row` and `step`
// apart, so that a may be a transpose.
template <int ROWS, int BLOCKS>
inline void product(const float* a, int64_t row, int64_t step, const float* b, int64_t width,
                    float* c, int64_t n) {
  Block sum[ROWS][BLOCKS];
  for (int i = 0; i < ROWS; ++i)
    for (int j = 0; j < BLOCKS; ++j) sum[i][j] = load(c + i * width + j * BLOCK);
  for (int64_t p = 0; p < n; ++p) {
    Block v[BLOCKS];
    for (int j = 0; j < BLOCKS; ++j) v[j] = load(b + p * width + j * BLOCK);
    for (int i = 0; i < ROWS; ++i) {
      const float s = a[i * row + p * step];
      const Block u = {s, s, s, s, s, s, s, s};
      for (int j = 0; j < BLOCKS; ++j) sum[i][j] += u * v[j];
    }
  }
  for (int i = 0; i < ROWS; ++i)
    for (int j = 0; j < BLOCKS; ++j) store(sum[i][j], c + i * width + j * BLOCK);
}

template <int BLOCKS>
void product_of_columns(const float* a, int64_t row, int64_t step, const float* b, int64_t width,
                        float* c, int64_t rows, int64_t n) {
  int64_t i = 0;
  for (; i + 6 <= rows; i += 6)  // 12 registers of sums of AVX2's 16
    product<6, BLOCKS>(a + i * row, row, step, b, width, c + i * width, n);
  for (; i + 4 <= rows; i += 4)
    product<4, BLOCKS>(a + i * row, row, step, b, width, c + i * width, n);
  for (; i < rows; ++i) product<1, BLOCKS>(a + i * row, row, step, b, width, c + i * width, n);
}

// c (rows, width) += a (rows, n) b (n, width), with width a multiple of 8.
void add_product(const float* a, int64_t row, int64_t step, const float* b, int64_t width, float* c,
                 int64_t rows, int64_t n) {
  int64_t j = 0;
  for (; j + 2 * BLOCK <= width; j += 2 * BLOCK)
    product_of_columns<2>(a, row, step, b + j, width, c + j, rows, n);
  if (j < width) product_of_columns<1>(a, row, step, b + j, width, c + j, rows, n);
}

// What stands between the transforms: 36 matrices (tiles, channels) of a few tiles.
class Planes {
 public:
  const int64_t channels;
  int64_t tiles = 0;

  Planes(int64_t most, int64_t channels) : channels(channels), data_(PLANES * size(most)) {}

  void resize(int64_t count) {
    tiles = count;
    step_ = size(count);
  }
  void clear() { std::fill_n(data_.data(), PLANES * step_, 0.0f); }
  float* plane(int64_t k) { return data_.data() + k * step_; }

 private:
  // From one plane to the next: an odd number of cache lines, for planes a power of two apart would
  // push each other out of the cache.
  int64_t size(int64_t count) const { return ((count * channels + LINE - 1) / LINE | 1) * LINE; }

  std::vector<float> data_;
  int64_t step_ = 0;
};

// to += from matrices, plane by plane; matrices (36, from.channels, to.channels).
void add_products(Planes& from, const float* matrices, Planes& to) {
  const int64_t n = from.channels, width = to.channels;
  for (int64_t k = 0; k < PLANES; ++k)
    add_product(from.plane(k), n, 1, matrices + k * n * width, width, to.plane(k), to.tiles, n);
}

// matrices += left^T right, plane by plane; matrices (36, left.channels, right.channels).
void add_gradients(Planes& left, Planes& right, float* matrices) {
  const int64_t rows = left.channels, width = right.channels;
  for (int64_t k = 0; k < PLANES; ++k)
    add_product(left.plane(k), 1, rows, right.plane(k), width, matrices + k * rows * width, rows,
                left.tiles);
}

// How the images (B, C, H, W) of a convolution lie in tiles, and how many tiles go together.
struct Tiling {
  int64_t height, width, columns, tiles, group;

  Tiling(at::IntArrayRef sizes, int64_t channels)
      : height(sizes[2]), width(sizes[3]), columns((width + 3) / 4),
        tiles((height + 3) / 4 * columns),
        group(std::clamp<int64_t>(CACHE / (PLANES * channels), 1, 4) * 6) {}

  // Tiles of an image (H, W, C) from the first on -> planes: 6x6 inputs each, transformed.
  void read_inputs(const float* image, int64_t first, Planes& planes) const {
    each_block<6>(first, planes, [&](const Inside& in, int64_t c, int64_t place) {
      Block d[36]{}, half[36];
      for (int k = 0; k < in.count; ++k) d[in.place[k]] = load(image + in.offset[k] + c);
      for (int j = 0; j < 6; ++j) input(d + j, 6, half + j);
      for (int i = 0; i < 6; ++i) input(half + 6 * i, 1, d + 6 * i);
      for (int k = 0; k < 36; ++k) store(d[k], planes.plane(k) + place);
    });
  }

  // The transpose of read_inputs: planes are added to an image's gradient.
  void add_inputs(Planes& planes, int64_t first, float* image) const {
    each_block<6>(first, planes, [&](const Inside& in, int64_t c, int64_t place) {
      Block d[36], half[36];
      for (int k = 0; k < 36; ++k) d[k] = load(planes.plane(k) + place);
      for (int j = 0; j < 6; ++j) input_transposed(d + j, 6, half + j);
      for (int i = 0; i < 6; ++i) input_transposed(half + 6 * i, 1, d + 6 * i);
      for (int k = 0; k < in.count; ++k) {
        float* pixel = image + in.offset[k] + c;
        store(load(pixel) + d[in.place[k]], pixel);
      }
    });
  }

  // Planes -> 4x4 outputs of each tile, in an image (H, W, K); a bias (K,) is added.
  void write_outputs(Planes& planes, int64_t first, const float* bias, float* image) const {
    each_block<4>(first, planes, [&](const Inside& in, int64_t c, int64_t place) {
      Block d[36], half[24], y[16];
      for (int k = 0; k < 36; ++k) d[k] = load(planes.plane(k) + place);
      for (int j = 0; j < 6; ++j) output(d + j, 6, half + j);
      for (int i = 0; i < 4; ++i) output(half + 6 * i, 1, y + 4 * i);
      const Block add = load(bias + c);
      for (int k = 0; k < in.count; ++k) store(y[in.place[k]] + add, image + in.offset[k] + c);
    });
  }

  // The transpose of write_outputs: a gradient (H, W, K) -> planes.
  void read_outputs(const float* image, int64_t first, Planes& planes) const {
    each_block<4>(first, planes, [&](const Inside& in, int64_t c, int64_t place) {
      Block d[36], half[24], y[16]{};
      for (int k = 0; k < in.count; ++k) y[in.place[k]] = load(image + in.offset[k] + c);
      for (int i = 0; i < 4; ++i) output_transposed(y + 4 * i, 1, half + 6 * i);
      for (int j = 0; j < 6; ++j) output_transposed(half + j, 6, d + j);
      for (int k = 0; k < 36; ++k) store(d[k], planes.plane(k) + place);
    });
  }

 private:
  // The pixels of a tile that are inside the image: their places in the tile, offsets in the image.
  struct Inside {
    int count = 0, place[36];
    int64_t offset[36];
  };

  // Call f(inside, c, place) for every tile of the planes and every block of channels from c on, with
  // its place in each plane. A tile has 4x4 pixels; with SIDE 6 also those around.
  template <int SIDE, typename F>
  void each_block(int64_t first, const Planes& planes, const F& f) const {
    constexpr int MARGIN = (SIDE - 4) / 2;
    for (int64_t tile = 0; tile < planes.tiles; ++tile) {
      const int64_t top = (first + tile) / columns * 4 - MARGIN;
      const int64_t left = (first + tile) % columns * 4 - MARGIN;
      Inside inside;
      for (int k = 0; k < SIDE * SIDE; ++k) {
        const int64_t y = top + k / SIDE, x = left + k % SIDE;
        if (y < 0 || y >= height || x < 0 || x >= width) continue;
        inside.place[inside.count] = k;
        inside.offset[inside.count++] = (y * width + x) * planes.channels;
      }
      for (int64_t c = 0; c < planes.channels; c += BLOCK)
        f(inside, c, tile * planes.channels + c);
    }
  }
};

at::Tensor images_like(const at::Tensor& x, int64_t channels) {
  return at::empty({x.size(0), channels, x.size(2), x.size(3)}, x.options(),
                   at::MemoryFormat::ChannelsLast);
}

float* image_of(const at::Tensor& x, int64_t number) {
  return x.data_ptr<float>() + number * x.size(1) * x.size(2) * x.size(3);
}

// x (B, C, H, W), kernels (36, C, K), bias (K,) -> (B, K, H, W).
at::Tensor convolve(const at::Tensor& x, const at::Tensor& kernels, const at::Tensor& bias) {
  const int64_t c = kernels.size(1), k = kernels.size(2);
  const Tiling tiling(x.sizes(), c + k);
  const int64_t groups = (tiling.tiles - 1) / tiling.group + 1;
  auto result = images_like(x, k);
  at::parallel_for(0, x.size(0) * groups, 1, [&](int64_t begin, int64_t end) {
    Planes inputs(tiling.group, c), outputs(tiling.group, k);
    for (int64_t n = begin; n < end; ++n) {
      const int64_t image = n / groups, first = n % groups * tiling.group;
      inputs.resize(std::min(tiling.group, tiling.tiles - first));
      outputs.resize(inputs.tiles);
      outputs.clear();
      tiling.read_inputs(image_of(x, image), first, inputs);
      add_products(inputs, kernels.data_ptr<float>(), outputs);
      tiling.write_outputs(outputs, first, bias.data_ptr<float>(), image_of(result, image));
    }
  });
  return result;
}

// Gradients of `convolve` for x (B, C, H, W), if transposed kernels (36, K, C) are given, and for
// the kernels (36, C, K), from x and the gradient g (B, K, H, W) of its result. Tiles of inputs
// overlap, so a thread has whole images.
std::vector<at::Tensor> gradients(const at::Tensor& x, const at::Tensor& g,
                                  const c10::optional<at::Tensor>& transposed) {
  const int64_t c = x.size(1), k = g.size(1), images = x.size(0);
  const Tiling tiling(x.sizes(), c + k);
  const int64_t parts = std::min<int64_t>(at::get_num_threads(), images);
  auto for_x = transposed ? images_like(x, c).zero_() : at::Tensor();
  auto for_kernels = at::zeros({parts, PLANES, c, k}, x.options());
  at::parallel_for(0, parts, 1, [&](int64_t begin, int64_t end) {
    Planes inputs(tiling.group, c), outputs(tiling.group, k);
    for (int64_t part = begin; part < end; ++part) {
      float* sums = for_kernels.data_ptr<float>() + part * PLANES * c * k;
      for (int64_t image = part; image < images; image += parts)
        for (int64_t first = 0; first < tiling.tiles; first += tiling.group) {
          outputs.resize(std::min(tiling.group, tiling.tiles - first));
          inputs.resize(outputs.tiles);
          tiling.read_outputs(image_of(g, image), first, outputs);
          if (transposed) {
            inputs.clear();
            add_products(outputs, transposed->data_ptr<float>(), inputs);
            tiling.add_inputs(inputs, first, image_of(for_x, image));
          }
          tiling.read_inputs(image_of(x, image), first, inputs);
          add_gradients(inputs, outputs, sums);
        }
    }
  });
  return {for_x, for_kernels.sum(0)};
}

}  // namespace

PYBIND11_MODULE(TORCH_EXTENSION_NAME, module) {
  module.def("convolve", &convolve);
  module.def("gradients", &gradients);
}
