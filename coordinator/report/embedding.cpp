#include "coordinator/report/embedding.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "coordinator/aggregate/pca.hpp"

namespace plumbline {

std::optional<std::filesystem::path> newest_snapshot(const RunLayout& layout) {
  std::optional<std::filesystem::path> newest;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(layout.snapshots(), error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with('.') || entry.path().extension() != ".h5") continue;  // a worker's part
    if (!newest || newest->filename().string() < name) newest = entry.path();  // steps are zero-padded
  }
  return newest;
}

Json embedding(const Snapshot& snapshot, const std::vector<std::string>& norm_names) {
  const Eigen::MatrixXd vectors = vectors_of(snapshot);
  std::vector<int> rows;
  for (Eigen::Index i = 0; i < vectors.rows(); ++i)
    if (vectors.row(i).allFinite()) rows.push_back(static_cast<int>(i));
  Json json = {{"step", snapshot.step},           {"rows", rows.size()},       {"pooling", snapshot.pooling},
               {"dimension", snapshot.dimension}, {"points", Json::array()},   {"norms", Json::array()},
               {"attributes", Json::object()},    {"explained", Json::array()}};
  if (rows.empty()) return json;
  const Pca pca = fit_pca(vectors(rows, Eigen::all), 2);
  for (Eigen::Index k = 0; k < pca.explained.size(); ++k) json["explained"].push_back(pca.explained[k]);
  const Eigen::MatrixXd flat = project(pca, vectors(rows, Eigen::all), 2);
  const std::size_t stride = (rows.size() + kMostEmbeddingRows - 1) / kMostEmbeddingRows;
  for (std::size_t i = 0; i < rows.size(); i += stride) {
    const auto row = static_cast<Eigen::Index>(i);
    const auto original = static_cast<std::size_t>(rows[i]);
    json["points"].push_back(Json::array({flat.cols() > 0 ? flat(row, 0) : 0.0, flat.cols() > 1 ? flat(row, 1) : 0.0}));
    const std::size_t norm = original < snapshot.norms.size() ? snapshot.norms[original] : 0;
    json["norms"].push_back(norm < norm_names.size() ? norm_names[norm] : fmt::format("norm {}", norm));
    for (const auto& [name, values] : snapshot.attributes) {
      const bool known = original < values.size() && std::isfinite(values[original]);
      json["attributes"][name].push_back(known ? Json(values[original]) : Json());
    }
  }
  json["shown"] = json["points"].size();
  return json;
}

}  // namespace plumbline
