//! The storage ports on AWS: folders and uploads in S3, records, logs, budgets and answers in
//! DynamoDB, messages in SQS.
//!
//! Knows how each port's contract is kept by conditional writes, and what every error of a service means
//! to a caller. Does not know what is kept, nor whether an endpoint is Amazon's or an emulator's.

#[cfg(feature = "dynamodb")]
mod answers;
#[cfg(feature = "dynamodb")]
mod append;
mod aws;
#[cfg(feature = "s3")]
mod bucket;
#[cfg(feature = "s3")]
mod cache;
#[cfg(feature = "s3")]
mod download;
#[cfg(any(
    feature = "dynamodb",
    feature = "s3",
    feature = "secrets",
    feature = "sqs"
))]
mod error;
#[cfg(feature = "s3")]
mod fetch;
#[cfg(feature = "s3")]
mod folders;
#[cfg(feature = "dynamodb")]
mod item;
#[cfg(feature = "dynamodb")]
mod log;
#[cfg(feature = "s3")]
mod marker;
#[cfg(feature = "s3")]
mod multipart;
#[cfg(feature = "s3")]
mod object;
#[cfg(feature = "s3")]
mod parts;
#[cfg(feature = "s3")]
mod place;
#[cfg(feature = "sqs")]
mod queue;
#[cfg(any(feature = "dynamodb", feature = "s3"))]
mod random;
#[cfg(feature = "dynamodb")]
mod rates;
#[cfg(feature = "dynamodb")]
mod records;
#[cfg(feature = "secrets")]
mod secrets;
#[cfg(feature = "dynamodb")]
mod spending;
#[cfg(feature = "dynamodb")]
mod table;
#[cfg(feature = "s3")]
mod uploads;

#[cfg(test)]
#[cfg(all(feature = "dynamodb", feature = "s3", feature = "sqs"))]
mod tests;

#[cfg(feature = "dynamodb")]
pub use answers::DynamoAnswerStore;
pub use aws::Aws;
#[cfg(feature = "s3")]
pub use folders::S3FolderStore;
#[cfg(feature = "dynamodb")]
pub use log::DynamoEventLog;
#[cfg(feature = "s3")]
pub use object::{Newer, S3Object};
#[cfg(feature = "s3")]
pub use parts::S3Parts;
#[cfg(feature = "sqs")]
pub use queue::SqsMessageQueue;
#[cfg(feature = "dynamodb")]
pub use rates::DynamoRateStore;
#[cfg(feature = "dynamodb")]
pub use records::DynamoRecordStore;
#[cfg(feature = "secrets")]
pub use secrets::read_secret;
#[cfg(feature = "dynamodb")]
pub use spending::DynamoSpendStore;
#[cfg(feature = "s3")]
pub use uploads::S3Uploads;
