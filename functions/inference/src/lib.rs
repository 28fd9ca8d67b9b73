//! Offers a text generator to other processes over HTTP.
