// Products for processors with AVX-512: 16 of its 32 registers hold a tile's sums (CMakeLists.txt gives the options).
#define PLUMBLINE_PRODUCTS kCpuProductsAvx512
#define PLUMBLINE_VECTOR_BYTES 64
#define PLUMBLINE_TILE_ROWS 4
#define PLUMBLINE_TILE_VECTORS 4
#include "worker/model/cpu_products.inc"
