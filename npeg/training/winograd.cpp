// Winograd F(4x4, 3x3): the transforms around 3x3 convolutions with padding 1.
//
// Tiles of 6x6 inputs, which overlap by two, give 4x4 outputs each. Between the transforms stand
// 36 products of matrices, left to the BLAS behind torch.bmm. Images are float32 (B, C, H, W) in
// channels_last, with C a multiple of 8.
// Source: A. Lavin and S. Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016.

#include <torch/extension.h>

#include <array>
#include <cstring>

namespace {

constexpr int64_t BLOCK = 8;  // channels at a time: a register of AVX2
constexpr int64_t OUTSIDE = -1;

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

// How images (B, C, H, W) lie in tiles, and what belongs to a tile in 36 planes (tiles, C).
struct Tiling {
  int64_t images, channels, height, width, rows, columns, tiles;

  explicit Tiling(at::IntArrayRef s)
      : images(s[0]), channels(s[1]), height(s[2]), width(s[3]), rows((height + 3) / 4),
        columns((width + 3) / 4), tiles(images * rows * columns) {}

  // Call f(channel, pixels, planes) for every tile and block of channels, with the offsets of the
  // tile's SIDE x SIDE pixels, OUTSIDE where the image ends, and of its place in each plane. So
  // many rows of tiles stay with one thread.
  template <int SIDE, typename F>
  void each_block(int64_t together, const F& f) const {
    at::parallel_for(0, images * rows / together, 1, [&](int64_t first, int64_t last) {
      for (int64_t n = first * together; n < last * together; ++n)
        for (int64_t column = 0; column < columns; ++column) {
          const auto corner = offsets<SIDE>(n / rows, n % rows, column);
          for (int64_t c = 0; c < channels; c += BLOCK) {
            int64_t pixels[SIDE * SIDE], planes[36];
            for (int k = 0; k < SIDE * SIDE; ++k)
              pixels[k] = corner[k] == OUTSIDE ? OUTSIDE : corner[k] + c;
            for (int k = 0; k < 36; ++k)
              planes[k] = (k * tiles + n * columns + column) * channels + c;
            f(c, pixels, planes);
          }
        }
    });
  }

 private:
  // A tile has 4x4 pixels; with SIDE 6 also those around it.
  template <int SIDE>
  std::array<int64_t, SIDE * SIDE> offsets(int64_t image, int64_t row, int64_t column) const {
    constexpr int MARGIN = (SIDE - 4) / 2;
    std::array<int64_t, SIDE * SIDE> found;
    for (int i = 0; i < SIDE; ++i)
      for (int j = 0; j < SIDE; ++j) {
        const int64_t y = 4 * row + i - MARGIN, x = 4 * column + j - MARGIN;
        const bool inside = y >= 0 && y < height && x >= 0 && x < width;
        found[SIDE * i + j] = inside ? ((image * height + y) * width + x) * channels : OUTSIDE;
      }
    return found;
  }
};

// x (B, C, H, W) -> (36, tiles, C): the 6x6 inputs of each tile, transformed.
at::Tensor transform_input(const at::Tensor& x) {
  const Tiling s(x.sizes());
  auto result = at::empty({36, s.tiles, s.channels}, x.options());
  const float* from = x.data_ptr<float>();
  float* to = result.data_ptr<float>();
  s.each_block<6>(1, [&](int64_t, const int64_t* pixels, const int64_t* planes) {
    Block d[36], half[36];
    for (int k = 0; k < 36; ++k) d[k] = pixels[k] == OUTSIDE ? Block{} : load(from + pixels[k]);
    for (int j = 0; j < 6; ++j) input(d + j, 6, half + j);
    for (int i = 0; i < 6; ++i) input(half + 6 * i, 1, d + 6 * i);
    for (int k = 0; k < 36; ++k) store(d[k], to + planes[k]);
  });
  return result;
}

// The transpose of transform_input: (36, tiles, C) -> gradient (B, C, H, W). Rows of tiles overlap,
// so a thread has whole images.
at::Tensor transform_input_transposed(const at::Tensor& v, std::vector<int64_t> sizes) {
  const Tiling s(sizes);
  auto result = at::empty(sizes, v.options(), at::MemoryFormat::ChannelsLast).zero_();
  const float* from = v.data_ptr<float>();
  float* to = result.data_ptr<float>();
  s.each_block<6>(s.rows, [&](int64_t, const int64_t* pixels, const int64_t* planes) {
    Block d[36], half[36];
    for (int k = 0; k < 36; ++k) d[k] = load(from + planes[k]);
    for (int j = 0; j < 6; ++j) input_transposed(d + j, 6, half + j);
    for (int i = 0; i < 6; ++i) input_transposed(half + 6 * i, 1, d + 6 * i);
    for (int k = 0; k < 36; ++k)
      if (pixels[k] != OUTSIDE) store(load(to + pixels[k]) + d[k], to + pixels[k]);
  });
  return result;
}

// m (36, tiles, K) -> outputs (B, K, H, W), the bias added.
at::Tensor transform_output(
    const at::Tensor& m, const at::Tensor& bias, std::vector<int64_t> sizes) {
  const Tiling s(sizes);
  auto result = at::empty(sizes, m.options(), at::MemoryFormat::ChannelsLast);
  const float *from = m.data_ptr<float>(), *add = bias.data_ptr<float>();
  float* to = result.data_ptr<float>();
  s.each_block<4>(1, [&](int64_t c, const int64_t* pixels, const int64_t* planes) {
    Block d[36], half[24], y[16];
    for (int k = 0; k < 36; ++k) d[k] = load(from + planes[k]);
    for (int j = 0; j < 6; ++j) output(d + j, 6, half + j);
    for (int i = 0; i < 4; ++i) output(half + 6 * i, 1, y + 4 * i);
    for (int k = 0; k < 16; ++k)
      if (pixels[k] != OUTSIDE) store(y[k] + load(add + c), to + pixels[k]);
  });
  return result;
}

// The transpose of transform_output: gradient (B, K, H, W) -> (36, tiles, K).
at::Tensor transform_output_transposed(const at::Tensor& g) {
  const Tiling s(g.sizes());
  auto result = at::empty({36, s.tiles, s.channels}, g.options());
  const float* from = g.data_ptr<float>();
  float* to = result.data_ptr<float>();
  s.each_block<4>(1, [&](int64_t, const int64_t* pixels, const int64_t* planes) {
    Block d[36], half[24], y[16];
    for (int k = 0; k < 16; ++k) y[k] = pixels[k] == OUTSIDE ? Block{} : load(from + pixels[k]);
    for (int i = 0; i < 4; ++i) output_transposed(y + 4 * i, 1, half + 6 * i);
    for (int j = 0; j < 6; ++j) output_transposed(half + j, 6, d + j);
    for (int k = 0; k < 36; ++k) store(d[k], to + planes[k]);
  });
  return result;
}

}  // namespace

PYBIND11_MODULE(TORCH_EXTENSION_NAME, module) {
  module.def("transform_input", &transform_input);
  module.def("transform_input_transposed", &transform_input_transposed);
  module.def("transform_output", &transform_output);
  module.def("transform_output_transposed", &transform_output_transposed);
}
