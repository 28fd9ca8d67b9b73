//! Lists, shows and deletes models over HTTP.
