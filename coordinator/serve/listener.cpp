#include "coordinator/serve/listener.hpp"

#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <vector>

namespace plumbline {

using boost::asio::ip::tcp;
using Address = boost::asio::ip::address;

namespace {

/// Nothing for what is not of the internet.
std::optional<Address> to_address(const sockaddr* raw) {
  if (raw == nullptr) return std::nullopt;
  if (raw->sa_family == AF_INET)
    return Address(boost::asio::ip::address_v4(ntohl(reinterpret_cast<const sockaddr_in*>(raw)->sin_addr.s_addr)));
  if (raw->sa_family != AF_INET6) return std::nullopt;
  boost::asio::ip::address_v6::bytes_type bytes;
  std::copy_n(reinterpret_cast<const sockaddr_in6*>(raw)->sin6_addr.s6_addr, bytes.size(), bytes.begin());
  return Address(boost::asio::ip::address_v6(bytes));
}

bool is_only_here(const Address& address) {
  return address.is_loopback() || (address.is_v6() && address.to_v6().is_link_local());
}

/// Those that other machines may reach, of interfaces that are up.
std::vector<Address> interface_addresses() {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return {};
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owned(list, ::freeifaddrs);
  std::vector<Address> addresses;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next)
    if (const auto address = to_address(entry->ifa_addr);
        address && (entry->ifa_flags & IFF_UP) != 0 && !is_only_here(*address))
      addresses.push_back(*address);
  return addresses;
}

/// Does the name lead to one of `addresses`?
bool leads_to(const std::string& name, const std::vector<Address>& addresses) {
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (name.empty() || ::getaddrinfo(name.c_str(), nullptr, &wanted, &found) != 0) return false;
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owned(found, ::freeaddrinfo);
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next)
    if (const auto address = to_address(entry->ai_addr);
        address && std::find(addresses.begin(), addresses.end(), *address) != addresses.end())
      return true;
  return false;
}

Error cannot_listen(const ControlConfig& control, const boost::system::error_code& ec) {
  if (ec == boost::asio::error::address_in_use)
    return environment_error("port " + std::to_string(control.port) + " is in use", "control.port",
                             "Choose another, or 0 for any that is free.");
  if (ec == boost::system::errc::address_not_available)
    return environment_error("this machine has no address " + control.bind, "control.bind",
                             "Use one of its own, 127.0.0.1 for this machine alone, or 0.0.0.0 for all of them.");
  return environment_error(
      "cannot listen on " + control.bind + " port " + std::to_string(control.port) + ": " + ec.message(),
      "control.port", "Choose another, or 0 for any that is free.");
}

}  // namespace

Result<tcp::acceptor> open_listener(boost::asio::io_context& io, const ControlConfig& control) {
  boost::system::error_code ec;
  const auto address = boost::asio::ip::make_address(control.bind, ec);
  if (ec) return usage_error("\"" + control.bind + "\" is not an IP address", "control.bind", "For example 127.0.0.1.");
  tcp::acceptor acceptor(io);
  acceptor.open(address.is_v6() ? tcp::v6() : tcp::v4(), ec);
  if (!ec) acceptor.set_option(tcp::acceptor::reuse_address(true), ec);
  if (!ec) acceptor.bind({address, static_cast<std::uint16_t>(control.port)}, ec);
  if (!ec) acceptor.listen(boost::asio::socket_base::max_listen_connections, ec);
  if (ec) return cannot_listen(control, ec);
  return acceptor;
}

Status check_listener(const ControlConfig& control) {
  boost::asio::io_context io;
  PLUMBLINE_TRY(open_listener(io, control));
  return {};
}

std::string address_for_others(const std::string& bind) {
  boost::system::error_code ec;
  const Address address = boost::asio::ip::make_address(bind, ec);
  if (ec || !address.is_unspecified()) return bind;
  std::vector<Address> addresses = interface_addresses();
  if (address.is_v4()) std::erase_if(addresses, [](const Address& one) { return one.is_v6(); });
  if (addresses.empty()) return address.is_v4() ? "127.0.0.1" : "::1";
  const std::string name = host_name();
  return leads_to(name, addresses) ? name : addresses.front().to_string();
}

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

}  // namespace plumbline
