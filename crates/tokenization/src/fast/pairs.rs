use std::fmt::Display;

use serde::{
    Serialize, Serializer,
    ser::{Error as _, Impossible, SerializeStruct},
};
use serde_json::Error;
use tokenizers::models::bpe::BPE;

/// Returns the merges of a model by rank, which the library gives out only with the whole model.
///
/// The rest of the model is passed by: it is large, and writing a vocabulary with a gap has the library print.
pub(super) fn of(model: &BPE) -> Option<Vec<[String; 2]>> {
    let written = model.serialize(MergesOnly).ok()?;
    serde_json::from_slice(&written?).ok()
}

/// Writes the field `merges` of a struct in JSON and nothing else.
struct MergesOnly;

/// What [`MergesOnly`] found so far.
struct Found(Option<Vec<u8>>);

impl SerializeStruct for Found {
    type Ok = Option<Vec<u8>>;
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        if key == "merges" {
            self.0 = Some(serde_json::to_vec(value)?);
        }
        Ok(())
    }

    fn end(self) -> Result<Self::Ok, Error> {
        Ok(self.0)
    }
}

/// Refuses values of the types named.
macro_rules! refuse {
    ($($method:ident: $type:ty),* $(,)?) => {
        $(fn $method(self, _: $type) -> Result<Self::Ok, Error> {
            Err(no_struct())
        })*
    };
}

/// Refuses what consists of others.
macro_rules! refuse_compound {
    ($($method:ident($($type:ty),*) -> $compound:ident),* $(,)?) => {
        $(fn $method(self, $(_: $type),*) -> Result<Self::$compound, Error> {
            Err(no_struct())
        })*
    };
}

fn no_struct() -> Error {
    Error::custom("expected a model, found no struct")
}

impl Serializer for MergesOnly {
    type Ok = Option<Vec<u8>>;
    type Error = Error;
    type SerializeSeq = Impossible<Self::Ok, Error>;
    type SerializeTuple = Impossible<Self::Ok, Error>;
    type SerializeTupleStruct = Impossible<Self::Ok, Error>;
    type SerializeTupleVariant = Impossible<Self::Ok, Error>;
    type SerializeMap = Impossible<Self::Ok, Error>;
    type SerializeStruct = Found;
    type SerializeStructVariant = Impossible<Self::Ok, Error>;

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Found, Error> {
        Ok(Found(None))
    }

    refuse! {
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_f32: f32,
        serialize_f64: f64, serialize_char: char, serialize_str: &str, serialize_bytes: &[u8],
        serialize_unit_struct: &'static str,
    }

    refuse_compound! {
        serialize_none() -> Ok,
        serialize_unit() -> Ok,
        serialize_unit_variant(&'static str, u32, &'static str) -> Ok,
        serialize_seq(Option<usize>) -> SerializeSeq,
        serialize_tuple(usize) -> SerializeTuple,
        serialize_tuple_struct(&'static str, usize) -> SerializeTupleStruct,
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> SerializeTupleVariant,
        serialize_map(Option<usize>) -> SerializeMap,
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> SerializeStructVariant,
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<Self::Ok, Error> {
        Err(no_struct())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: &T,
    ) -> Result<Self::Ok, Error> {
        Err(no_struct())
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<Self::Ok, Error> {
        Err(no_struct())
    }

    fn collect_str<T: Display + ?Sized>(self, _: &T) -> Result<Self::Ok, Error> {
        Err(no_struct())
    }
}
