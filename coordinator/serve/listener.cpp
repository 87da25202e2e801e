#include "coordinator/serve/listener.hpp"

#include <boost/asio/io_context.hpp>

namespace plumbline {

using boost::asio::ip::tcp;

Result<tcp::acceptor> open_listener(boost::asio::io_context& io, const ControlConfig& control) {
  boost::system::error_code ec;
  const auto address = boost::asio::ip::make_address(control.bind, ec);
  if (ec || !address.is_loopback())
    return usage_error("\"" + control.bind + "\" is not a loopback address", "control.bind",
                       "The control plane is not encrypted and stays on this machine: use 127.0.0.1.");
  tcp::acceptor acceptor(io);
  acceptor.open(address.is_v6() ? tcp::v6() : tcp::v4(), ec);
  if (!ec) acceptor.set_option(tcp::acceptor::reuse_address(true), ec);
  if (!ec) acceptor.bind({address, static_cast<std::uint16_t>(control.port)}, ec);
  if (!ec) acceptor.listen(boost::asio::socket_base::max_listen_connections, ec);
  if (ec == boost::asio::error::address_in_use)
    return environment_error("port " + std::to_string(control.port) + " is in use", "control.port",
                             "Choose another, or 0 for any that is free.");
  if (ec)
    return environment_error(
        "cannot listen on " + control.bind + " port " + std::to_string(control.port) + ": " + ec.message(),
        "control.port", "Choose another, or 0 for any that is free.");
  return acceptor;
}

Status check_listener(const ControlConfig& control) {
  boost::asio::io_context io;
  PLUMBLINE_TRY(open_listener(io, control));
  return {};
}

}  // namespace plumbline
