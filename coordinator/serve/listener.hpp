// The coordinator's listening socket, and where others find it.
#pragma once
#include <boost/asio/ip/tcp.hpp>
#include <string>

#include "common/config/run_config.hpp"
#include "common/core/result.hpp"

namespace plumbline {
/// Listens on control.bind, an address of this machine or 0.0.0.0 or :: for all of them, and control.port. Environment
/// errors: a port in use, an address that the machine does not have; each names its key.
Result<boost::asio::ip::tcp::acceptor> open_listener(boost::asio::io_context& io, const ControlConfig& control);
/// Whether open_listener would succeed now.
Status check_listener(const ControlConfig& control);

/// What coordinator.json says of a listener on `bind`. Where that is every address: this machine's name when the name
/// leads here (as those of a cluster's nodes do), otherwise the address of its first network interface that is up.
std::string address_for_others(const std::string& bind);
std::string host_name();
}  // namespace plumbline
