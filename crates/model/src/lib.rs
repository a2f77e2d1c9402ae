//! The network and all between it and the served answer.
