//! The official SDKs of OpenAI and Anthropic understand what the stand-in sends.

use std::{env, path::Path};

use llmopt_provider_mock::{Api, Mock};
use tokio::process::Command;

/// Names a Python that has both SDKs.
const PYTHON: &str = "LLMOPT_TEST_API_PYTHON";
/// How the script ends without them.
const ABSENT: i32 = 77;

#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "tests find what is not part of the repository through variables"
)]
async fn the_official_sdks_understand_every_answer() {
    let Some(python) = env::var_os(PYTHON) else {
        println!("skipped: {PYTHON} names no Python; scripts/test installs one");
        return;
    };
    let mock = Mock::start(0).await.unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdks.py");
    let ran = Command::new(python)
        .arg(script)
        .arg(mock.url())
        .output()
        .await
        .unwrap();
    let printed = String::from_utf8_lossy(&ran.stdout);
    if ran.status.code() == Some(ABSENT) {
        println!("skipped: the Python of {PYTHON} lacks an SDK: {printed}");
        return;
    }
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}");
    println!("{}", printed.trim());
    for api in [Api::Openai, Api::Anthropic] {
        let exchanges = mock.exchanges();
        let of_api = exchanges.iter().filter(|exchange| exchange.api == api);
        let answered = of_api.filter(|exchange| exchange.billed.is_some()).count();
        assert!(answered >= 5, "{answered} answers of {api:?}");
    }
}
