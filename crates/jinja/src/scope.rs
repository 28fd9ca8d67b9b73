//! Variables, in frames of which each sees those around it.

use std::cell::RefCell;

use crate::{
    error::{Result, unknown},
    tree::Symbol,
    value::Value,
};

/// A frame, by its place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct FrameId(usize);

/// All frames of a rendering. Whatever refers to one has its id, so that nothing has to be counted or can go round.
#[derive(Debug)]
pub(crate) struct Frames(RefCell<Vec<Frame>>);

#[derive(Debug)]
struct Frame {
    around: Option<FrameId>,
    variables: Vec<(Symbol, Value)>,
    /// Whether something refers to it that may outlive it.
    is_kept: bool,
    /// Whether its body has ended, whose variables Jinja2 then takes away or gives to the next turn of a loop.
    is_over: bool,
}

impl Frames {
    /// The frame of what the template is given.
    pub(crate) const GIVEN: FrameId = FrameId(0);

    /// The frame of the template itself: the first that is opened.
    pub(crate) const TEMPLATE: FrameId = FrameId(1);

    pub(crate) fn new(variables: Vec<(Symbol, Value)>) -> Self {
        Self(RefCell::new(vec![Frame {
            around: None,
            variables,
            is_kept: true,
            is_over: false,
        }]))
    }

    /// Opens a frame within another.
    pub(crate) fn open(&self, around: FrameId) -> FrameId {
        let mut frames = self.0.borrow_mut();
        frames.push(Frame {
            around: Some(around),
            variables: Vec::new(),
            is_kept: false,
            is_over: false,
        });
        FrameId(frames.len() - 1)
    }

    /// Closes the frame of a body.
    pub(crate) fn close(&self, frame: FrameId) {
        if let Some(it) = self.0.borrow_mut().get_mut(frame.0) {
            it.is_over = true;
        }
        self.leave(frame);
    }

    /// Closes the frame of a call; its variables stay where something may still ask for them.
    pub(crate) fn leave(&self, frame: FrameId) {
        let mut frames = self.0.borrow_mut();
        let is_last = frame.0 + 1 == frames.len();
        let closed = match frames.get_mut(frame.0) {
            Some(it) if it.is_kept => return,
            Some(_) if is_last => frames.pop().map(|it| it.variables),
            Some(it) => Some(std::mem::take(&mut it.variables)),
            None => None,
        };
        // What is dropped may be large, and is dropped when nothing is borrowed.
        drop(frames);
        drop(closed);
    }

    /// Returns a frame as good as new: the same one, if nothing refers to it.
    pub(crate) fn renewed(&self, frame: FrameId, around: FrameId) -> FrameId {
        let mut frames = self.0.borrow_mut();
        match frames.get_mut(frame.0) {
            Some(it) if !it.is_kept => {
                it.variables.clear();
                frame
            }
            it => {
                it.into_iter().for_each(|it| it.is_over = true);
                drop(frames);
                self.open(around)
            }
        }
    }

    /// Keeps a frame and those around it to the end of the rendering.
    pub(crate) fn keep(&self, frame: FrameId) {
        let mut frames = self.0.borrow_mut();
        let mut next = Some(frame);
        while let Some(it) = next.and_then(|it| frames.get_mut(it.0)) {
            if it.is_kept {
                return;
            }
            it.is_kept = true;
            next = it.around;
        }
    }

    pub(crate) fn set(&self, frame: FrameId, symbol: Symbol, value: Value) {
        let mut frames = self.0.borrow_mut();
        let Some(frame) = frames.get_mut(frame.0) else {
            return;
        };
        let before = match frame.variables.iter_mut().find(|(it, _)| *it == symbol) {
            Some((_, slot)) => Some(std::mem::replace(slot, value)),
            None => {
                frame.variables.push((symbol, value));
                None
            }
        };
        drop(frames);
        drop(before);
    }

    /// Returns the value that a name has in a frame or around it.
    ///
    /// # Errors
    /// A variable of a body that has ended.
    pub(crate) fn get(&self, frame: FrameId, symbol: Symbol) -> Result<Option<Value>> {
        let frames = self.0.borrow();
        let mut next = Some(frame);
        while let Some(frame) = next.and_then(|it| frames.get(it.0)) {
            let found = frame.variables.iter().find(|(it, _)| *it == symbol);
            match found {
                Some(_) if frame.is_over => {
                    return unknown(
                        "what a variable is after its body has ended is not known here",
                    );
                }
                Some((_, value)) => return Ok(Some(value.clone())),
                None => next = frame.around,
            }
        }
        Ok(None)
    }
}
