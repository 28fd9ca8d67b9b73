use std::convert::Infallible;

use axum::response::{
    IntoResponse, Sse,
    sse::{Event, KeepAlive},
};
use futures::stream;
use llmopt_http::{Metered, Problem};
use serde_json::json;

use crate::{
    GenerateState,
    answer::{Answer, Inquiry, Part},
    routed::Routed,
};

/// An answer on its way to somebody who reads it as it comes.
struct Live {
    state: GenerateState,
    answer: Answer,
    ended: bool,
}

/// Begins an answer; what is wrong before its first part is a problem, and later an `error` event.
pub(crate) async fn stream_answer(
    state: &GenerateState,
    meter: Metered,
    question: Routed,
) -> Result<impl IntoResponse + use<>, Problem> {
    let inquiry = Inquiry::now(state, question);
    let live = Live {
        state: state.clone(),
        answer: Answer::begin(state, meter, inquiry).await?,
        ended: false,
    };
    let events = stream::unfold(live, |mut live| async {
        let event = live.next().await?;
        Some((Ok::<_, Infallible>(event), live))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

impl Live {
    async fn next(&mut self) -> Option<Event> {
        if self.ended {
            return None;
        }
        let part = self.answer.next(&self.state).await;
        self.ended = !matches!(part, Ok(Part::Text(_) | Part::ToolCall(_)));
        let (name, data) = match part {
            Ok(Part::Text(text)) => ("text", json!({ "text": text }).to_string()),
            Ok(Part::ToolCall(part)) => {
                let (index, arguments) = (part.index, part.arguments);
                let mut data = json!({ "index": index, "arguments": arguments });
                for (name, value) in [("id", part.id), ("name", part.name)] {
                    if let Some(value) = value {
                        data[name] = value.into();
                    }
                }
                ("tool_call", data.to_string())
            }
            Ok(Part::Done(response)) => {
                ("done", serde_json::to_string(&response).unwrap_or_default())
            }
            Err(problem) => ("error", problem.to_json(None).to_string()),
        };
        Some(Event::default().event(name).data(data))
    }
}
