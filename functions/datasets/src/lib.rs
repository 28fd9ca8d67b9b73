//! Takes, lists, shows and deletes datasets over HTTP.
