// The coordinator's listening socket.
#pragma once
#include <boost/asio/ip/tcp.hpp>

#include "common/config/run_config.hpp"
#include "common/core/result.hpp"

namespace plumbline {
/// Listens on control.bind, which must be a loopback address (the control plane is not encrypted), and control.port.
/// A port in use is an environment error that names it.
Result<boost::asio::ip::tcp::acceptor> open_listener(boost::asio::io_context& io, const ControlConfig& control);
/// Whether open_listener would succeed now.
Status check_listener(const ControlConfig& control);
}  // namespace plumbline
