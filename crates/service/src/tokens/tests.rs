use std::fs;

use llmopt_tokenization::train_bpe;

use super::*;

/// A dataset of `rows` and the encoder of a vocabulary of 257 ids.
fn place(rows: &str) -> (tempfile::TempDir, Encoder) {
    let folder = tempfile::tempdir().unwrap();
    train_bpe(std::iter::empty(), 257, folder.path()).unwrap();
    fs::write(folder.path().join("rows.jsonl"), rows).unwrap();
    let encoder = Encoder::open(folder.path(), None).unwrap();
    (folder, encoder)
}

fn checked(rows: &str, limits: TokenLimits) -> Result<TokenStatistics, ServiceError> {
    let (folder, encoder) = place(rows);
    let path = folder.path().join("rows.jsonl");
    check_tokens(&path, &ReadOptions::default(), &encoder, limits)
}

fn row(response: &str) -> String {
    format!("{{\"prompt\": \"a\", \"response\": \"{response}\"}}\n")
}

fn limits(overlong: Overlong) -> TokenLimits {
    TokenLimits {
        max_length: 64,
        overlong,
        vocabulary: 257,
    }
}

fn long() -> String {
    row(&"x".repeat(60))
}

#[test]
fn rows_that_are_too_long_are_refused_by_their_numbers_or_left_out() {
    let rows = row("b") + &long() + &row("c") + &long();
    match checked(&rows, limits(Overlong::Error)) {
        Err(ServiceError::Overlong { rows, limit, .. }) => {
            assert_eq!((rows, limit), (vec![2, 4], 64));
        }
        other => panic!("{other:?}"),
    }
    let statistics = checked(&rows, limits(Overlong::Drop)).unwrap();
    assert_eq!((statistics.rows, statistics.overlong.rows), (4, 2));
    // An answer of one letter and its end, twice.
    assert_eq!(statistics.kept_trainable_tokens(), 4);
    let error = checked(&long(), limits(Overlong::Drop)).unwrap_err();
    assert!(matches!(error, ServiceError::Overlong { .. }), "{error}");
}

#[test]
fn rows_without_loss_are_refused_by_their_numbers() {
    let silent = "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", \"content\": \"b\", \"weight\": 0}]}\n";
    match checked(&silent.repeat(2), limits(Overlong::Error)) {
        Err(ServiceError::NothingToLearn { rows, .. }) => assert_eq!(rows, [1, 2]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_token_that_the_model_does_not_have_is_refused() {
    let limits = TokenLimits {
        vocabulary: 256,
        ..limits(Overlong::Error)
    };
    let error = checked(&row("b"), limits).unwrap_err();
    assert!(
        matches!(
            error,
            ServiceError::Vocabulary {
                row: 1,
                id: 256,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_text_is_trained_on_in_sequences_and_is_never_too_long() {
    // 200 bytes are as many tokens, and one for the end.
    let text = format!("{{\"text\": \"{}\"}}\n", "x".repeat(200));
    let statistics = checked(&text, limits(Overlong::Error)).unwrap();
    assert_eq!((statistics.rows, statistics.overlong.rows), (4, 0));
    assert_eq!(statistics.trainable_tokens, 201);
    // The token that each sequence begins with is the last of the one before.
    assert_eq!(statistics.tokens, 201 + 3);
    assert_eq!(statistics.row.max, 64);
}

#[test]
fn preferences_are_refused() {
    let pair = "{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \"c\"}\n";
    let error = checked(pair, limits(Overlong::Error)).unwrap_err();
    assert!(
        matches!(
            error,
            ServiceError::Dataset(DatasetError::OtherLesson { .. })
        ),
        "{error}"
    );
}

/// What validation with a tokenizer finds no error in, a job takes, and nothing else.
#[test]
fn a_job_refuses_what_the_report_has_errors_for() {
    for rows in [
        row("b"),
        long(),
        row("b") + &long(),
        row("<|endoftext|>"),
        row("b").repeat(9),
        format!("{{\"text\": \"{}\"}}\n", "x".repeat(200)),
    ] {
        let (folder, encoder) = place(&rows);
        let path = folder.path().join("rows.jsonl");
        let options = TokenOptions::of(ModelLimits {
            context: 64,
            vocabulary: 257,
        });
        let report = token_report(&path.clone().into(), &encoder, &options)
            .unwrap()
            .unwrap();
        let refused = check_tokens(
            &path,
            &ReadOptions::default(),
            &encoder,
            limits(Overlong::Error),
        )
        .is_err();
        assert_eq!(report.has_errors(), refused, "{rows}");
    }
}

#[test]
fn statistics_are_those_of_the_report() {
    let (folder, encoder) = place(&(row("b") + &long()));
    let path = folder.path().join("rows.jsonl");
    let options = TokenOptions::of(ModelLimits {
        context: 64,
        vocabulary: 257,
    });
    let report = token_report(&path.clone().into(), &encoder, &options)
        .unwrap()
        .unwrap();
    assert_eq!(
        token_statistics(&path, &ReadOptions::default(), &encoder, 64).unwrap(),
        report.statistics
    );
}
