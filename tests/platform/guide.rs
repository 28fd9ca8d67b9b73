//! Guides as programs: the examples of one in each language, and what each of them prints.

use std::{fs, path::Path};

/// What stands in a guide for what differs each time.
const ANYTHING: char = '…';

/// A page below `docs/` whose blocks of code are run.
///
/// A block in `sh`, `python` or `js` is an example. A block in `text` or `json` is what the examples before it
/// print, each of them, back to the heading or to the output before; an example with none prints nothing. A
/// block marked `file=NAME` is a file that the examples find. Everything else is marked `no-run`.
pub(crate) struct Guide {
    pub(crate) examples: Vec<Example>,
    /// Names and texts of files.
    pub(crate) files: Vec<(String, String)>,
    /// The first line of each block that is not run.
    pub(crate) not_run: Vec<String>,
}

/// An example in one language.
pub(crate) struct Example {
    /// The heading that it stands under.
    pub(crate) heading: String,
    /// `sh`, `python` or `js`.
    pub(crate) language: String,
    /// The line of the page that its block begins on.
    pub(crate) line: usize,
    pub(crate) code: String,
    /// What it prints.
    pub(crate) output: String,
}

/// A block of code as it is being read.
struct Block {
    mark: String,
    line: usize,
    text: String,
}

impl Guide {
    /// Reads the page `name`.
    pub(crate) fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        Self::parse(name, &fs::read_to_string(path.join(name)).unwrap())
    }

    fn parse(name: &str, page: &str) -> Self {
        let mut guide = Self {
            examples: Vec::new(),
            files: Vec::new(),
            not_run: Vec::new(),
        };
        let mut heading = String::new();
        let mut block: Option<Block> = None;
        // Of the examples, the first whose output has not come.
        let mut silent = 0;
        for (line, text) in (1..).zip(page.lines()) {
            match (&mut block, text.strip_prefix("```")) {
                (None, None) if text.starts_with('#') => {
                    heading = text.trim_start_matches(['#', ' ']).to_owned();
                    silent = guide.examples.len();
                }
                (None, None) => {}
                (None, Some(mark)) => {
                    block = Some(Block {
                        mark: mark.to_owned(),
                        line,
                        text: String::new(),
                    });
                }
                (Some(open), None) => {
                    open.text.push_str(text);
                    open.text.push('\n');
                }
                (Some(_), Some(_)) => {
                    let done = block.take().unwrap();
                    guide.take(name, &heading, done, &mut silent);
                }
            }
        }
        assert!(block.is_none(), "{name}: a block of code does not end");
        guide
    }

    fn take(&mut self, name: &str, heading: &str, block: Block, silent: &mut usize) {
        let Block { mark, line, text } = block;
        match mark.split_once(' ').unwrap_or((&mark, "")) {
            (language @ ("sh" | "python" | "js"), "") => self.examples.push(Example {
                heading: heading.to_owned(),
                language: language.to_owned(),
                line,
                code: text,
                output: String::new(),
            }),
            ("text" | "json", "") => {
                let printing = &mut self.examples[*silent..];
                assert!(!printing.is_empty(), "{name}:{line}: no example prints it");
                for example in printing {
                    example.output.clone_from(&text);
                }
                *silent = self.examples.len();
            }
            (_, "no-run") => {
                let first = text.lines().next().unwrap_or_default();
                self.not_run.push(first.to_owned());
            }
            (_, mark) => match mark.strip_prefix("file=") {
                Some(file) => self.files.push((file.to_owned(), text)),
                None => panic!("{name}:{line}: `{mark}`: mark the block `no-run`"),
            },
        }
    }
}

impl Example {
    /// Whether `printed` is what the guide shows.
    pub(crate) fn prints(&self, printed: &str) -> bool {
        let lines = |text: &str| -> Vec<String> {
            let lines = text.trim().lines();
            lines.map(|line| line.trim_end().to_owned()).collect()
        };
        fits(&lines(&self.output), &lines(printed))
    }
}

/// Whether lines are those that are shown, where one of nothing but `…` stands for any number of them.
fn fits(shown: &[String], found: &[String]) -> bool {
    match shown.split_first() {
        None => found.is_empty(),
        Some((first, rest)) if first.trim() == ANYTHING.to_string() => {
            (0..=found.len()).any(|skipped| fits(rest, &found[skipped..]))
        }
        Some((first, rest)) => found
            .split_first()
            .is_some_and(|(line, further)| line_fits(first, line) && fits(rest, further)),
    }
}

/// Whether a line is the one that is shown, where `…` stands for any text.
fn line_fits(shown: &str, found: &str) -> bool {
    let Some((before, after)) = shown.split_once(ANYTHING) else {
        return shown == found;
    };
    found.strip_prefix(before).is_some_and(|rest| {
        let mut ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
        ends.any(|at| line_fits(after, &rest[at..]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
# One
```jsonl file=a.jsonl
{}
```
```sh
echo 1
```
```python
print(1)
```
```text
1
```
```js
nothing();
```
# Two
```sh no-run
serve
```
";

    #[test]
    fn an_output_is_that_of_the_examples_before_it() {
        let guide = Guide::parse("PAGE", PAGE);
        let outputs = guide.examples.iter().map(|it| it.output.as_str());
        assert_eq!(outputs.collect::<Vec<_>>(), ["1\n", "1\n", ""]);
        assert_eq!(guide.files, [("a.jsonl".to_owned(), "{}\n".to_owned())]);
        assert_eq!(guide.not_run, ["serve"]);
        assert_eq!(guide.examples[2].heading, "One");
    }

    #[test]
    #[should_panic(expected = "no example prints it")]
    fn an_output_of_nothing_is_refused() {
        Guide::parse("PAGE", "```sh\n:\n```\n# Two\n```text\n1\n```\n");
    }

    #[test]
    #[should_panic(expected = "mark the block `no-run`")]
    fn a_block_that_is_nothing_known_is_refused() {
        Guide::parse("PAGE", "```yaml later\na: 1\n```\n");
    }

    #[test]
    fn what_is_printed_is_what_is_shown_but_for_what_is_left_out() {
        let shows = |output: &str, printed: &str| {
            let example = Example {
                heading: String::new(),
                language: String::new(),
                line: 0,
                code: String::new(),
                output: output.to_owned(),
            };
            example.prints(printed)
        };
        assert!(shows("id: …, of …\n…\nend", "id: 7, of 8\na\nb\r\nend\n"));
        assert!(shows("a\n…\nb", "a\nb"));
        assert!(shows("", "\n"));
        for (output, printed) in [
            ("id: …", "name: 7"),
            ("id: …, of", "id: 7, of 8"),
            ("a\nb", "a"),
            ("a", "a\nb"),
            ("", "a"),
            ("…\nend", "end\na"),
        ] {
            assert!(!shows(output, printed), "{output:?} {printed:?}");
        }
    }
}
