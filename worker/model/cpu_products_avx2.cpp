// Products for processors with AVX2: 12 of its 16 registers hold a tile's sums (CMakeLists.txt gives the options).
#define PLUMBLINE_PRODUCTS kCpuProductsAvx2
#define PLUMBLINE_VECTOR_BYTES 32
#define PLUMBLINE_TILE_ROWS 6
#define PLUMBLINE_TILE_VECTORS 2
#include "worker/model/cpu_products.inc"
