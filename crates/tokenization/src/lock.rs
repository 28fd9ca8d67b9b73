use llmopt_domain::{Conversation, Lesson, Message, Sample};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    EncodedExample, Encoder, TokenizationError,
    pieces::{common_prefix, excerpt},
};

const FORMAT: u32 = 1;

/// Conversations, or texts, with what they were encoded to when a model was trained: `template_lock.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateLock {
    format: u32,
    golden: Vec<Golden>,
}

/// One conversation of a [`TemplateLock`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Golden {
    messages: Vec<Message>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Map<String, Value>>,
    /// Whether it is plain text, which no template stands around.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_plain: bool,
    text: String,
    ids: Vec<u32>,
    loss_mask: Vec<bool>,
}

impl TemplateLock {
    /// The file's name in an artifact.
    pub const FILE_NAME: &str = "template_lock.json";

    pub(crate) fn record(
        encoder: &Encoder,
        samples: impl Iterator<Item = Sample>,
    ) -> Result<Self, TokenizationError> {
        let golden = samples.map(|sample| encode(encoder, &sample));
        Ok(Self {
            format: FORMAT,
            golden: golden.collect::<Result<_, _>>()?,
        })
    }

    /// Checks that `encoder` gives every conversation the text, ids and mask recorded here.
    ///
    /// # Errors
    /// [`TokenizationError::LockBroken`] at the first difference.
    pub fn verify(&self, encoder: &Encoder) -> Result<(), TokenizationError> {
        if self.format != FORMAT {
            return Err(TokenizationError::LockFormat {
                expected: FORMAT,
                found: self.format,
            });
        }
        for (index, golden) in self.golden.iter().enumerate() {
            golden.compare(&encode(encoder, &golden.sample())?, index + 1)?;
        }
        Ok(())
    }
}

impl Golden {
    fn sample(&self) -> Sample {
        Sample {
            conversation: Conversation {
                messages: self.messages.clone(),
                tools: self.tools.clone(),
            },
            lesson: match self.is_plain {
                true => Lesson::Text,
                false => Lesson::Responses,
            },
        }
    }

    fn compare(&self, found: &Self, example: usize) -> Result<(), TokenizationError> {
        let broken = |what, position, expected, found| TokenizationError::LockBroken {
            example,
            what,
            position,
            expected,
            found,
        };
        if self.text != found.text {
            let at = common_prefix(&self.text, &found.text);
            let excerpts = (excerpt(&self.text, at), excerpt(&found.text, at));
            return Err(broken("text", at, excerpts.0, excerpts.1));
        }
        if let Some((at, expected, found)) = first_difference(&self.ids, &found.ids) {
            return Err(broken("token id", at, expected, found));
        }
        if let Some((at, expected, found)) = first_difference(&self.loss_mask, &found.loss_mask) {
            return Err(broken("loss mask", at, expected, found));
        }
        Ok(())
    }
}

fn encode(encoder: &Encoder, sample: &Sample) -> Result<Golden, TokenizationError> {
    let EncodedExample { ids, loss_mask } = encoder.encode_sample(sample)?;
    let conversation = &sample.conversation;
    let is_plain = sample.lesson == Lesson::Text;
    Ok(Golden {
        text: match is_plain {
            true => conversation
                .messages
                .iter()
                .map(|it| it.content.as_str())
                .collect(),
            false => encoder.render(conversation)?,
        },
        is_plain,
        messages: conversation.messages.clone(),
        tools: conversation.tools.clone(),
        ids,
        loss_mask,
    })
}

fn first_difference<T: PartialEq + ToString>(
    left: &[T],
    right: &[T],
) -> Option<(usize, String, String)> {
    let at = (0..left.len().max(right.len())).find(|&at| left.get(at) != right.get(at))?;
    let show = |side: &[T]| side.get(at).map_or("nothing".to_owned(), T::to_string);
    Some((at, show(left), show(right)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        testing::{TEXTS, conversation, small_tokenizer},
        train_bpe,
    };

    fn samples() -> [Conversation; 2] {
        [
            conversation(&["Hello", "Hello there!"]),
            conversation(&["Hi", "Größe, 1234", "And?", "素早い"]),
        ]
    }

    fn encoder(template: Option<&str>) -> Encoder {
        Encoder::open(small_tokenizer().path(), template).unwrap()
    }

    fn problem(lock: &TemplateLock, encoder: &Encoder) -> String {
        lock.verify(encoder).unwrap_err().to_string()
    }

    #[test]
    fn a_lock_read_back_holds_for_the_encoder_that_wrote_it() {
        let lock = encoder(None).template_lock(&samples()).unwrap();
        let json = serde_json::to_string(&lock).unwrap();
        let read: TemplateLock = serde_json::from_str(&json).unwrap();
        assert_eq!(read, lock);
        assert_eq!(read.golden.len(), 2);
        read.verify(&encoder(None)).unwrap();
    }

    #[test]
    fn plain_text_is_locked_without_a_template_around_it() {
        let text = Message::new(llmopt_domain::Role::Assistant, "Größe, 1234");
        let sample = Sample {
            conversation: Conversation::new(vec![text]),
            lesson: Lesson::Text,
        };
        let lock = encoder(None).template_lock(&[sample]).unwrap();
        let json = serde_json::to_string(&lock).unwrap();
        let read: TemplateLock = serde_json::from_str(&json).unwrap();
        assert_eq!(read, lock);
        assert_eq!(read.golden[0].text, "Größe, 1234");
        let other = crate::DEFAULT_CHAT_TEMPLATE.replace("###", "#");
        read.verify(&encoder(Some(&other))).unwrap();
        let fewer = tempfile::tempdir().unwrap();
        train_bpe(std::iter::empty(), 257, fewer.path()).unwrap();
        let fewer = Encoder::open(fewer.path(), None).unwrap();
        assert!(problem(&lock, &fewer).contains("has another token id"));
    }

    #[test]
    fn a_changed_template_is_caught() {
        let changed = crate::DEFAULT_CHAT_TEMPLATE.replace("### User:", "### Human:");
        let lock = encoder(None).template_lock(&samples()).unwrap();
        assert_eq!(
            problem(&lock, &encoder(Some(&changed))),
            "golden conversation 1 of the template lock has another text at position 4: expected `### User:\nHello\n\n### Assista`, found `### Human:\nHello\n\n### Assist`; restore the tokenizer and chat template that the model was trained with"
        );
    }

    #[test]
    fn a_changed_tokenizer_is_caught() {
        let folder = tempfile::tempdir().unwrap();
        let fewer = TEXTS.iter().take(3).map(|&text| text.to_owned());
        train_bpe(fewer, 300, folder.path()).unwrap();
        let other = Encoder::open(folder.path(), None).unwrap();
        let lock = encoder(None).template_lock(&samples()).unwrap();
        let problem = problem(&lock, &other);
        assert!(
            problem.contains("has another token id at position"),
            "{problem}"
        );
    }

    #[test]
    fn a_changed_mask_is_caught() {
        let mut lock = encoder(None).template_lock(&samples()).unwrap();
        let mask = &mut lock.golden[1].loss_mask;
        *mask.last_mut().unwrap() = false;
        let last = mask.len() - 1;
        let problem = problem(&lock, &encoder(None));
        let expected = format!(
            "golden conversation 2 of the template lock has another loss mask at position {last}: expected `false`, found `true`"
        );
        assert!(problem.starts_with(&expected), "{problem}");
    }

    #[test]
    fn a_lock_of_another_format_is_refused() {
        let mut lock = encoder(None).template_lock::<Sample>(&[]).unwrap();
        lock.format = 2;
        assert_eq!(
            problem(&lock, &encoder(None)),
            "the template lock has format `2`: expected `1`; write it again"
        );
    }
}
