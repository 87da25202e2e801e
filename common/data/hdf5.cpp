#include "common/data/hdf5.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <mutex>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

#include "common/core/files.hpp"
#include "common/data/mapping.hpp"

namespace plumbline {

namespace {

constexpr std::size_t kMemoryIncrement = 1 << 20;      // how a file that is being composed grows
constexpr std::size_t kMaxAttributeBytes = 64 * 1024;  // the classic layout's own bound
constexpr hsize_t kMaxMembers = 4096;                  // of a group
constexpr int kMaxRank = 4;
const char* const kDamaged = "The file is damaged or incomplete; use an intact copy.";

/// Held for the length of each call: libhdf5 is not thread-safe. Recursive, since handles close inside calls.
class LibraryLock {
 public:
  LibraryLock() : lock_(mutex()) {
    static const bool silenced = H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr) >= 0;
    static_cast<void>(silenced);
  }

 private:
  static std::recursive_mutex& mutex() {
    static auto* const mutex = new std::recursive_mutex;  // outlives handles in static storage
    return *mutex;
  }
  std::lock_guard<std::recursive_mutex> lock_;
};

Error unreadable(const std::filesystem::path& path, const std::string& what) {
  return data_error(what, path.string(), kDamaged);
}

Error unwritable(const std::filesystem::path& path, const std::string& what) {
  return run_error(what + " could not be written", path.string());
}

constexpr std::string_view kTrailerMagic = "PLMBXXH3";
constexpr std::size_t kTrailerBytes = 16;

/// What ends a file: the magic, then the XXH3-64 of all bytes before it, least significant byte first.
std::string trailer(std::span<const std::byte> content) {
  const std::uint64_t hash = XXH3_64bits(content.data(), content.size());
  std::string bytes(kTrailerMagic);
  for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<char>(hash >> (8 * i)));
  return bytes;
}

Status check_trailer(const std::filesystem::path& path) {
  PLUMBLINE_ASSIGN(const Mapping mapping, Mapping::map(path));
  const auto bytes = mapping.bytes();
  const std::size_t content = bytes.size() < kTrailerBytes ? 0 : bytes.size() - kTrailerBytes;
  const std::string_view end(reinterpret_cast<const char*>(bytes.data()) + content, bytes.size() - content);
  if (!end.starts_with(kTrailerMagic))
    return unreadable(path, "the file is cut short, or is not an HDF5 file that Plumbline wrote");
  if (end != trailer(bytes.first(content)))
    return unreadable(path, "the file's content has changed since it was written: its checksum does not match");
  return {};
}

/// The property list of a dataset: contiguous, its space allotted at once so that its offset is known, no time stamps.
H5Handle dataset_properties() {
  H5Handle list(H5Pcreate(H5P_DATASET_CREATE));
  if (!list || H5Pset_layout(list.get(), H5D_CONTIGUOUS) < 0 ||
      H5Pset_alloc_time(list.get(), H5D_ALLOC_TIME_EARLY) < 0 || H5Pset_obj_track_times(list.get(), false) < 0)
    return {};
  return list;
}

H5Handle link_properties() {
  H5Handle list(H5Pcreate(H5P_LINK_CREATE));
  if (!list || H5Pset_create_intermediate_group(list.get(), 1) < 0) return {};
  return list;
}

/// Dimensions of a data space; an error for more than kMaxRank of them or a count that does not fit memory.
Result<std::vector<std::uint64_t>> dimensions(hid_t dataset, const std::filesystem::path& path,
                                              const std::string& name) {
  const H5Handle space(H5Dget_space(dataset));
  const int rank = space ? H5Sget_simple_extent_ndims(space.get()) : -1;
  if (rank < 0 || rank > kMaxRank || H5Sget_simple_extent_type(space.get()) == H5S_NULL)
    return unreadable(path, "the dataset \"" + name + "\" has a shape that cannot be read");
  std::vector<hsize_t> sizes(static_cast<std::size_t>(rank));
  if (rank > 0 && H5Sget_simple_extent_dims(space.get(), sizes.data(), nullptr) < 0)
    return unreadable(path, "the dataset \"" + name + "\" has a shape that cannot be read");
  return std::vector<std::uint64_t>(sizes.begin(), sizes.end());
}

/// Where a dataset's bytes lie, once its type is `type`, its layout contiguous and its extent inside the file.
Result<H5Extent> checked_extent(hid_t dataset, hid_t type, const std::filesystem::path& path, const std::string& name) {
  const H5Handle stored(H5Dget_type(dataset));
  if (!stored || H5Tequal(stored.get(), type) <= 0)
    return unreadable(path, "the dataset \"" + name + "\" has another element type than this format's");
  const H5Handle properties(H5Dget_create_plist(dataset));
  if (!properties || H5Pget_layout(properties.get()) != H5D_CONTIGUOUS || H5Pget_external_count(properties.get()) != 0)
    return unreadable(path, "the dataset \"" + name + "\" is not contiguous");
  PLUMBLINE_ASSIGN(const auto shape, dimensions(dataset, path, name));
  std::uint64_t count = 1, bytes = 0;
  for (const std::uint64_t size : shape)
    if (__builtin_mul_overflow(count, size, &count))
      return unreadable(path, "the dataset \"" + name + "\" is too large");
  if (__builtin_mul_overflow(count, static_cast<std::uint64_t>(H5Tget_size(type)), &bytes))
    return unreadable(path, "the dataset \"" + name + "\" is too large");
  if (count == 0) return H5Extent{};  // nothing is stored, so there is no offset
  std::error_code ec;
  const std::uint64_t file_bytes = std::filesystem::file_size(path, ec);
  const haddr_t offset = H5Dget_offset(dataset);
  if (ec || offset == HADDR_UNDEF || offset > file_bytes || bytes > file_bytes - offset)
    return unreadable(path, "the dataset \"" + name + "\" reaches beyond the end of the file");
  return H5Extent{offset, count};
}

Result<H5Handle> open_dataset(hid_t file, const std::filesystem::path& path, const std::string& name) {
  H5Handle dataset(H5Dopen2(file, name.c_str(), H5P_DEFAULT));
  if (!dataset) return unreadable(path, "the dataset \"" + name + "\" is missing or cannot be read");
  return dataset;
}

/// A root attribute and its data space; must be one value.
Result<H5Handle> open_attribute(hid_t file, const std::filesystem::path& path, const std::string& name) {
  H5Handle attribute(H5Aopen(file, name.c_str(), H5P_DEFAULT));
  const H5Handle space(attribute ? H5Aget_space(attribute.get()) : -1);
  if (!space || H5Sget_simple_extent_npoints(space.get()) != 1)
    return unreadable(path, "the attribute \"" + name + "\" is missing or not a single value");
  return attribute;
}

}  // namespace

H5Handle& H5Handle::operator=(H5Handle&& other) noexcept {
  if (this != &other) {
    H5Handle old(std::exchange(id_, std::exchange(other.id_, -1)));
  }
  return *this;
}

H5Handle::~H5Handle() {
  if (id_ < 0) return;
  const LibraryLock lock;
  H5Idec_ref(id_);  // closes a file, group, dataset, space, type, attribute or list, as the id's kind asks
}

template <>
hid_t h5_type<std::uint8_t>() {
  return H5T_NATIVE_UINT8;
}
template <>
hid_t h5_type<std::uint16_t>() {
  return H5T_NATIVE_UINT16;
}
template <>
hid_t h5_type<std::int32_t>() {
  return H5T_NATIVE_INT32;
}
template <>
hid_t h5_type<std::int64_t>() {
  return H5T_NATIVE_INT64;
}
template <>
hid_t h5_type<std::uint64_t>() {
  return H5T_NATIVE_UINT64;
}
template <>
hid_t h5_type<float>() {
  return H5T_NATIVE_FLOAT;
}
template <>
hid_t h5_type<double>() {
  return H5T_NATIVE_DOUBLE;
}

Result<H5File> H5File::create(const std::filesystem::path& path) {
  const LibraryLock lock;
  // In memory, so that a disk that fills up is met by one plain write and not half-way through libhdf5, whose failed
  // files cannot be closed. The library wants a name; this one is of no file and of no other H5File.
  static std::uint64_t files = 0;
  const std::string name = "/dev/null/" + std::to_string(++files);
  const H5Handle access(H5Pcreate(H5P_FILE_ACCESS)), properties(H5Pcreate(H5P_FILE_CREATE));
  if (!access || !properties || H5Pset_fapl_core(access.get(), kMemoryIncrement, false) < 0 ||
      H5Pset_obj_track_times(properties.get(), false) < 0)
    return unwritable(path, "the file");
  H5File file;
  file.path_ = path;
  file.file_ = H5Handle(H5Fcreate(name.c_str(), H5F_ACC_TRUNC, properties.get(), access.get()));
  if (!file.file_) return unwritable(path, "the file");
  return file;
}

Result<H5File> H5File::open(const std::filesystem::path& path) {
  const LibraryLock lock;
  std::error_code ec;
  const auto status = std::filesystem::status(path, ec);
  if (!std::filesystem::exists(status)) return data_error("there is no such file", path.string());
  if (!std::filesystem::is_regular_file(status)) return data_error("this is not a file", path.string());
  PLUMBLINE_TRY(check_trailer(path));
  const H5Handle access(H5Pcreate(H5P_FILE_ACCESS));
  // Files are read-only once written; a file system without locks (many clusters have one) must not stop a reader.
  if (!access || H5Pset_file_locking(access.get(), false, true) < 0)
    return unreadable(path, "the file cannot be opened");
  H5File file;
  file.path_ = path;
  file.file_ = H5Handle(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get()));
  if (!file.file_) return unreadable(path, "the file cannot be read as HDF5");
  return file;
}

template <class T>
Status H5File::write(const std::string& dataset, const std::vector<T>& values, std::vector<std::uint64_t> shape) {
  const LibraryLock lock;
  if (shape.empty()) shape.push_back(values.size());
  std::uint64_t count = 1;
  for (const std::uint64_t size : shape) count *= size;
  const std::string what = "the dataset \"" + dataset + "\"";
  if (count != values.size()) return unwritable(path_, what + " has values that do not fill its shape and");
  const std::vector<hsize_t> sizes(shape.begin(), shape.end());
  const H5Handle space(H5Screate_simple(static_cast<int>(sizes.size()), sizes.data(), nullptr));
  const H5Handle links = link_properties(), properties = dataset_properties();
  if (!space || !links || !properties) return unwritable(path_, what);
  const H5Handle target(
      H5Dcreate2(file_.get(), dataset.c_str(), h5_type<T>(), space.get(), links.get(), properties.get(), H5P_DEFAULT));
  if (!target) return unwritable(path_, what);
  if (!values.empty() && H5Dwrite(target.get(), h5_type<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) < 0)
    return unwritable(path_, what);
  return {};
}

template <class T>
Result<std::vector<T>> H5File::read(const std::string& dataset) const {
  const LibraryLock lock;
  PLUMBLINE_ASSIGN(const H5Handle source, open_dataset(file_.get(), path_, dataset));
  PLUMBLINE_ASSIGN(const H5Extent extent, checked_extent(source.get(), h5_type<T>(), path_, dataset));
  std::vector<T> values(extent.count);  // no larger than the file
  if (!values.empty() && H5Dread(source.get(), h5_type<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) < 0)
    return unreadable(path_, "the dataset \"" + dataset + "\" cannot be read");
  return values;
}

template <class T>
Result<H5Extent> H5File::extent(const std::string& dataset) const {
  const LibraryLock lock;
  PLUMBLINE_ASSIGN(const H5Handle source, open_dataset(file_.get(), path_, dataset));
  return checked_extent(source.get(), h5_type<T>(), path_, dataset);
}

Result<std::vector<std::uint64_t>> H5File::shape(const std::string& dataset) const {
  const LibraryLock lock;
  PLUMBLINE_ASSIGN(const H5Handle source, open_dataset(file_.get(), path_, dataset));
  return dimensions(source.get(), path_, dataset);
}

bool H5File::exists(const std::string& path) const {
  const LibraryLock lock;
  // HDF5 asks that every group on the way be there.
  for (std::size_t end = path.find('/'); end != std::string::npos; end = path.find('/', end + 1))
    if (end > 0 && H5Lexists(file_.get(), path.substr(0, end).c_str(), H5P_DEFAULT) <= 0) return false;
  return H5Lexists(file_.get(), path.c_str(), H5P_DEFAULT) > 0;
}

std::vector<std::string> H5File::members(const std::string& group) const {
  const LibraryLock lock;
  std::vector<std::string> names;
  H5G_info_t info;
  const H5Handle opened(exists(group) ? H5Gopen2(file_.get(), group.c_str(), H5P_DEFAULT) : -1);
  if (!opened || H5Gget_info(opened.get(), &info) < 0) return names;
  for (hsize_t i = 0; i < std::min(info.nlinks, kMaxMembers); ++i) {
    char name[1024];
    const ssize_t length =
        H5Lget_name_by_idx(opened.get(), ".", H5_INDEX_NAME, H5_ITER_INC, i, name, sizeof name, H5P_DEFAULT);
    if (length > 0 && static_cast<std::size_t>(length) < sizeof name)
      names.emplace_back(name, static_cast<std::size_t>(length));
  }
  return names;
}

Status H5File::write_attribute(const std::string& name, const std::string& value) {
  const LibraryLock lock;
  const std::string what = "the attribute \"" + name + "\"";
  if (value.size() > kMaxAttributeBytes) return unwritable(path_, what + " is too long and");
  const H5Handle space(H5Screate(H5S_SCALAR)), type(H5Tcopy(H5T_C_S1));
  // Variable length, since that is what h5py reads as str.
  if (!space || !type || H5Tset_size(type.get(), H5T_VARIABLE) < 0 || H5Tset_cset(type.get(), H5T_CSET_UTF8) < 0)
    return unwritable(path_, what);
  const H5Handle attribute(H5Acreate2(file_.get(), name.c_str(), type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT));
  const char* const text = value.c_str();
  if (!attribute || H5Awrite(attribute.get(), type.get(), &text) < 0) return unwritable(path_, what);
  return {};
}

Status H5File::write_attribute(const std::string& name, std::int64_t value) {
  const LibraryLock lock;
  const H5Handle space(H5Screate(H5S_SCALAR));
  const H5Handle attribute(
      space ? H5Acreate2(file_.get(), name.c_str(), h5_type<std::int64_t>(), space.get(), H5P_DEFAULT, H5P_DEFAULT)
            : -1);
  if (!attribute || H5Awrite(attribute.get(), h5_type<std::int64_t>(), &value) < 0)
    return unwritable(path_, "the attribute \"" + name + "\"");
  return {};
}

Result<std::string> H5File::text_attribute(const std::string& name) const {
  const LibraryLock lock;
  PLUMBLINE_ASSIGN(const H5Handle attribute, open_attribute(file_.get(), path_, name));
  const H5Handle type(H5Aget_type(attribute.get()));
  const Error wrong = unreadable(path_, "the attribute \"" + name + "\" is not a string");
  if (!type || H5Tget_class(type.get()) != H5T_STRING) return wrong;
  if (H5Tis_variable_str(type.get()) > 0) {
    char* text = nullptr;
    if (H5Aread(attribute.get(), type.get(), &text) < 0 || text == nullptr) return wrong;
    std::string value(text, strnlen(text, kMaxAttributeBytes));
    H5free_memory(text);
    return value;
  }
  const std::size_t bytes = H5Tget_size(type.get());  // fixed length, as other writers have it
  if (bytes == 0 || bytes > kMaxAttributeBytes) return wrong;
  std::string value(bytes, '\0');
  if (H5Aread(attribute.get(), type.get(), value.data()) < 0) return wrong;
  value.resize(strnlen(value.data(), bytes));
  return value;
}

Result<std::int64_t> H5File::int_attribute(const std::string& name) const {
  const LibraryLock lock;
  PLUMBLINE_ASSIGN(const H5Handle attribute, open_attribute(file_.get(), path_, name));
  const H5Handle type(H5Aget_type(attribute.get()));
  std::int64_t value = 0;
  if (!type || H5Tget_class(type.get()) != H5T_INTEGER || H5Aread(attribute.get(), h5_type<std::int64_t>(), &value) < 0)
    return unreadable(path_, "the attribute \"" + name + "\" is not an integer");
  return value;
}

Status H5File::flush_and_close() {
  const LibraryLock lock;
  const ssize_t bytes = H5Fflush(file_.get(), H5F_SCOPE_GLOBAL) < 0 ? -1 : H5Fget_file_image(file_.get(), nullptr, 0);
  if (bytes < 0) return unwritable(path_, "the file");
  std::string image(static_cast<std::size_t>(bytes), '\0');
  if (H5Fget_file_image(file_.get(), image.data(), image.size()) != bytes) return unwritable(path_, "the file");
  file_ = H5Handle();
  image += trailer(std::as_bytes(std::span(image)));
  Status status = write_file_atomically(path_, image);
  if (status.has_error() && status.error().message.find(std::strerror(ENOSPC)) != std::string::npos) {
    Error full = unwritable(path_, "the file");
    full.message += ": the disk is full";
    full.hint = "Free some space and try again.";
    return full;
  }
  return status;
}

#define PLUMBLINE_H5_ELEMENT(T)                                                                            \
  template Status H5File::write<T>(const std::string&, const std::vector<T>&, std::vector<std::uint64_t>); \
  template Result<std::vector<T>> H5File::read<T>(const std::string&) const;                               \
  template Result<H5Extent> H5File::extent<T>(const std::string&) const
PLUMBLINE_H5_ELEMENT(std::uint8_t);
PLUMBLINE_H5_ELEMENT(std::uint16_t);
PLUMBLINE_H5_ELEMENT(std::int32_t);
PLUMBLINE_H5_ELEMENT(std::int64_t);
PLUMBLINE_H5_ELEMENT(std::uint64_t);
PLUMBLINE_H5_ELEMENT(float);
PLUMBLINE_H5_ELEMENT(double);
#undef PLUMBLINE_H5_ELEMENT

}  // namespace plumbline
