//! Submits, follows, stops and resumes training jobs over HTTP.
