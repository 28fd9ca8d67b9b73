use super::scan::{ends_in_word, leading, masked};

/// How the keys of a service begin, and how many characters follow at least.
const PREFIXES: [(&str, &str, usize); 17] = [
    ("an API key", "sk-", 20),
    ("a key of Stripe", "sk_live_", 16),
    ("a key of Stripe", "rk_live_", 16),
    ("a key of AWS", "AKIA", 16),
    ("a key of AWS", "ASIA", 16),
    ("a token of GitHub", "ghp_", 36),
    ("a token of GitHub", "gho_", 36),
    ("a token of GitHub", "ghs_", 36),
    ("a token of GitHub", "github_pat_", 22),
    ("a token of GitLab", "glpat-", 20),
    ("a token of Hugging Face", "hf_", 30),
    ("a token of Slack", "xoxb-", 10),
    ("a token of Slack", "xoxp-", 10),
    ("a token of Slack", "xoxa-", 10),
    ("a token of Slack", "xoxr-", 10),
    ("a token of npm", "npm_", 36),
    ("a key of Google", "AIza", 35),
];

/// What a value is called that nobody else should know.
const NAMES: [&str; 8] = [
    "password",
    "passwd",
    "pwd",
    "secret",
    "api_key",
    "apikey",
    "api-key",
    "access_token",
];

/// What shows that a value is made up.
const MADE_UP: [&str; 9] = [
    "example",
    "your",
    "xxx",
    "...",
    "placeholder",
    "changeme",
    "password",
    "environ",
    "getenv",
];

/// Finds a key, a token or a password, and says of which kind.
pub(crate) fn secret(text: &str) -> Option<String> {
    const SHORTEST: usize = 15;
    // Few texts have a word as long as a key, and few have a value with a name: most are done after one look.
    let mut words = text.split(|it| !is_key(it));
    let keys = words.any(|word| word.len() >= SHORTEST).then_some(text);
    let values = text.contains(['=', ':']).then_some(text);
    keys.and_then(prefixed)
        .or_else(|| private_key(text))
        .or_else(|| keys.and_then(web_token))
        .or_else(|| values.and_then(named))
}

fn shown(kind: &str, value: &str) -> String {
    format!("{kind}, {}", masked(value))
}

fn is_made_up(value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    MADE_UP.iter().any(|it| value.contains(it))
}

fn is_key(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-')
}

/// Tells whether a part of `key` mixes small letters, capitals and digits as words do not: a capital that begins a
/// word does not count.
fn is_drawn(key: &str) -> bool {
    const SHORTEST: usize = 8;
    let mut parts = key.split(['-', '_']).filter(|part| part.len() >= SHORTEST);
    parts.any(|part| {
        let has = |is: fn(&u8) -> bool| usize::from(part.bytes().skip(1).any(|it| is(&it)));
        let kinds =
            has(u8::is_ascii_digit) + has(u8::is_ascii_uppercase) + has(u8::is_ascii_lowercase);
        kinds >= 2
    })
}

fn prefixed(text: &str) -> Option<String> {
    let mut found = PREFIXES.iter().flat_map(|(kind, prefix, shortest)| {
        let places = text.match_indices(prefix);
        places.filter_map(move |(at, _)| {
            let value = leading(&text[at..], is_key);
            let is_long = value.len() >= prefix.len() + shortest;
            (is_long
                && is_drawn(&value[prefix.len()..])
                && !ends_in_word(&text[..at])
                && !is_made_up(value))
            .then(|| shown(kind, value))
        })
    });
    found.next()
}

fn private_key(text: &str) -> Option<String> {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("-----BEGIN ") {
        let name = leading(after, |it| it.is_ascii_uppercase() || it == ' ');
        let key = after[name.len()..].strip_prefix("-----");
        // The words alone are in every explanation of keys.
        let body = key.map_or("", |key| {
            leading(key.trim_start(), |it| is_key(it) || "+/=".contains(it))
        });
        if name.ends_with("PRIVATE KEY") && body.len() >= 20 {
            return Some(shown("a private key", body));
        }
        rest = after;
    }
    None
}

/// Finds a JSON Web Token (RFC 7519): two parts that begin as JSON does in base64url, and a signature.
fn web_token(text: &str) -> Option<String> {
    let places = text.match_indices("eyJ");
    let mut found = places.filter_map(|(at, _)| {
        let value = leading(&text[at..], |it| is_key(it) || it == '.');
        let parts: Vec<&str> = value.split('.').collect();
        let is_token = matches!(parts[..], [header, claims, signature]
            if header.len() > 10 && claims.starts_with("eyJ") && signature.len() > 10);
        is_token.then(|| shown("a web token", value))
    });
    found.next()
}

/// Finds a value beside a name such as `password`.
fn named(text: &str) -> Option<String> {
    let signs = text.match_indices(['=', ':']);
    let mut found = signs.filter_map(|(at, _)| {
        let value = is_name(&text[..at]).then(|| value_of(&text[at + 1..]))?;
        value.map(|value| shown("a password or key", value))
    });
    found.next()
}

/// Tells whether `before` ends with a name of something secret.
fn is_name(before: &str) -> bool {
    let before = before.trim_end_matches(['"', '\'', ' ']).as_bytes();
    NAMES.iter().any(|name| {
        let start = before.len().saturating_sub(name.len());
        before[start..].eq_ignore_ascii_case(name.as_bytes())
    })
}

/// Returns the value that `text` begins with, where it looks drawn by lot.
fn value_of(text: &str) -> Option<&str> {
    let text = text.trim_start_matches(['"', '\'', ' ']);
    let is_value = |it: char| !it.is_whitespace() && !"\"'`,;()<>{}[]".contains(it);
    let value = leading(text, is_value).trim_end_matches('.');
    let rest = &text[value.len()..];
    let is_drawn = (6..=200).contains(&value.len())
        && value.bytes().any(|it| it.is_ascii_digit())
        && value.bytes().any(|it| it.is_ascii_alphabetic())
        && !value.starts_with(['$', '%', '*', '\\']);
    (is_drawn && !rest.starts_with(['(', '[', '<', '{']) && !is_made_up(value)).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Put together here, so that no search for secrets takes them for some.
    fn secrets() -> Vec<(String, &'static str)> {
        let body = "Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4zAb3dEf6h";
        vec![
            (format!("sk-{}", &body[..24]), "an API key"),
            (format!("sk-ant-api03-{body}"), "an API key"),
            (format!("AKIA{}", "Q3EGRZ5TBX2LWD7K"), "a key of AWS"),
            (format!("ghp_{}", &body[..36]), "a token of GitHub"),
            (
                format!("xoxb-{}", "123456789012-AbCdEfGh"),
                "a token of Slack",
            ),
            (format!("AIza{}", &body[..35]), "a key of Google"),
            (
                format!("hf_{}", "AbCdEfGhIjKlMnOpQrStUvWxYzAbCdEfGh"),
                "a token of Hugging Face",
            ),
            (
                format!("eyJhbGciOiJIUzI1NiJ9.eyJ{}.{body}", &body[..20]),
                "a web token",
            ),
            (format!("password={}", "hunter2!x"), "a password or key"),
            (
                format!("\"api_key\": \"{}\"", "9f8e7d6c5b4a"),
                "a password or key",
            ),
        ]
    }

    #[test]
    fn secrets_are_found_with_their_kind_and_never_shown() {
        for (secret_text, kind) in secrets() {
            let found = secret(&format!("use {secret_text} here")).unwrap_or_default();
            assert!(found.starts_with(kind), "{secret_text}: {found}");
            assert!(found.len() < kind.len() + 30, "{found}");
            assert!(
                !found.contains(&secret_text[secret_text.len() - 6..]),
                "{found}"
            );
        }
        let key = format!(
            "-----BEGIN RSA {} KEY-----\nMIIEpAIBAAKCAQEA7bq9x\n-----END",
            "PRIVATE"
        );
        assert_eq!(
            secret(&key).unwrap(),
            "a private key, `MII…` (21 characters)"
        );
    }

    #[test]
    fn explanations_and_made_up_values_are_no_secrets() {
        for text in [
            "Your password: it must have 8 characters",
            "password = os.environ['PASSWORD1']",
            "password=your_password1",
            "sk-learn-pipeline-for-beginners",
            "sk-learn-Introduction-part-2-of-the-book",
            "hf_hub_download_of_a_large_model_file",
            "AKIAIOSFODNN7EXAMPLE",
            "the file begins with -----BEGIN PRIVATE KEY-----",
            "api_key = get_key(1)",
            "api_key=<API_KEY1>",
            "password: $PASSWORD1",
            "task-force-of-twenty-nations",
            "eyJhbGciOi is base64",
            "the secret: 1234567890",
            "secret = random.choice(range(1, 100))",
        ] {
            assert_eq!(secret(text), None, "{text}");
        }
    }
}
