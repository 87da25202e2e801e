#include "worker/optimizer/optimizer.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace plumbline {
namespace {

TEST(GradientNormTest, IsTheL2NormWhateverTheSize) {
  for (const std::int64_t n : {1, 17, 65'536, 65'537, 300'000}) {
    const at::Tensor g = at::randn({n});
    const double expected = std::sqrt(g.to(at::kDouble).square().sum().item<double>());
    EXPECT_NEAR(gradient_norm(g), expected, 1e-10 * expected) << n;
    EXPECT_EQ(gradient_norm(g), gradient_norm(g.clone()));
  }
  EXPECT_EQ(gradient_norm(at::zeros({100})), 0);
}

}  // namespace
}  // namespace plumbline
