//! Real engines behind the gateway.
