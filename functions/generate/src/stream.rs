use std::convert::Infallible;

use axum::response::{
    IntoResponse, Sse,
    sse::{Event, KeepAlive},
};
use futures::stream;
use llmopt_http::{Metered, Problem};
use llmopt_service::{Answerer, GenerationEvent, GenerationStream, Question, ServiceError};
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use crate::{
    GenerateState,
    answer::{Asked, broken, too_late},
};

/// An answer on its way.
struct Live {
    state: GenerateState,
    asked: Asked,
    answerer: Answerer,
    stream: GenerationStream,
    text: String,
    deadline: Instant,
    ended: bool,
}

/// Begins an answer; what is wrong before its first part is a problem, and later an `error` event.
pub(crate) async fn stream_answer(
    state: &GenerateState,
    meter: Metered,
    question: Question,
) -> Result<impl IntoResponse + use<>, Problem> {
    let deadline = Instant::now() + state.timeout;
    let mut asked = Asked::begin(meter, &question);
    let begun = match timeout_at(deadline, state.generation.answer(question)).await {
        Ok(begun) => begun.map_err(Problem::from),
        Err(_) => Err(too_late(state)),
    };
    let (answerer, stream) = begun.inspect_err(|problem| asked.failed(problem))?;
    asked.found(&answerer);
    let live = Live {
        state: state.clone(),
        asked,
        answerer,
        stream,
        text: String::new(),
        deadline,
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
        let event = match timeout_at(self.deadline, self.stream.recv()).await {
            Err(_) => Err(too_late(&self.state)),
            Ok(None) => Err(broken()),
            Ok(Some(Err(error))) => Err(ServiceError::from(error).into()),
            Ok(Some(Ok(event))) => Ok(event),
        };
        match event {
            Ok(GenerationEvent::Text { text }) => {
                self.text.push_str(&text);
                let data = json!({ "text": text }).to_string();
                Some(Event::default().event("text").data(data))
            }
            Ok(finished) => Some(self.finish(&finished)),
            Err(problem) => Some(self.fail(&problem)),
        }
    }

    fn finish(&mut self, finished: &GenerationEvent) -> Event {
        self.ended = true;
        let text = std::mem::take(&mut self.text);
        match self.asked.response(&self.answerer, text, finished) {
            Ok(response) => Event::default()
                .event("done")
                .data(serde_json::to_string(&response).unwrap_or_default()),
            Err(problem) => self.fail(&problem),
        }
    }

    fn fail(&mut self, problem: &Problem) -> Event {
        self.ended = true;
        self.asked.failed(problem);
        // Nobody reads it any more: dropping it would only come later.
        self.stream.close();
        Event::default()
            .event("error")
            .data(problem.to_json(None).to_string())
    }
}
