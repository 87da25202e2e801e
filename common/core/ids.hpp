// Strong integer types: a step is not a rank is not a generation.
#pragma once
#include <compare>
#include <cstdint>
#include <functional>

namespace plumbline {

template <class Tag, class Int>
class Id {
 public:
  constexpr Id() = default;
  constexpr explicit Id(Int value) : value_(value) {}
  [[nodiscard]] constexpr Int value() const { return value_; }
  friend constexpr auto operator<=>(Id, Id) = default;
  constexpr Id& operator++() {
    ++value_;
    return *this;
  }
  friend constexpr Id operator+(Id a, Int by) { return Id(static_cast<Int>(a.value_ + by)); }

 private:
  Int value_ = 0;
};

using Step = Id<struct StepTag, std::int64_t>;               ///< number of optimizer steps taken
using Generation = Id<struct GenerationTag, std::uint64_t>;  ///< numbered membership of a run; 0 means none yet
using WorkerId = Id<struct WorkerIdTag, std::int32_t>;       ///< rank within a generation
using LeaseId = Id<struct LeaseIdTag, std::uint64_t>;

}  // namespace plumbline

template <class Tag, class Int>
struct std::hash<plumbline::Id<Tag, Int>> {
  std::size_t operator()(plumbline::Id<Tag, Int> id) const noexcept { return std::hash<Int>{}(id.value()); }
};
