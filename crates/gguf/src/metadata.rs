/// A value of a file's metadata.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    U32(u32),
    F32(f32),
    Bool(bool),
    String(String),
    I32s(Vec<i32>),
    Strings(Vec<String>),
}

const U32: u32 = 4;
const I32: u32 = 5;
const F32: u32 = 6;
const BOOL: u32 = 7;
const STRING: u32 = 8;
const ARRAY: u32 = 9;

impl Value {
    fn encode(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::U32(value) => {
                put_u32(bytes, U32);
                put_u32(bytes, *value);
            }
            Self::F32(value) => {
                put_u32(bytes, F32);
                bytes.extend_from_slice(&value.to_le_bytes());
            }
            Self::Bool(value) => {
                put_u32(bytes, BOOL);
                bytes.push(u8::from(*value));
            }
            Self::String(value) => {
                put_u32(bytes, STRING);
                put_string(bytes, value);
            }
            Self::I32s(values) => {
                put_array(bytes, I32, values.len());
                let put = |value: &i32| bytes.extend_from_slice(&value.to_le_bytes());
                values.iter().for_each(put);
            }
            Self::Strings(values) => {
                put_array(bytes, STRING, values.len());
                values.iter().for_each(|value| put_string(bytes, value));
            }
        }
    }
}

/// A file's keys and values, in the order in which they are written.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Metadata(Vec<(String, Value)>);

impl Metadata {
    pub(crate) fn push(&mut self, key: impl Into<String>, value: Value) {
        self.0.push((key.into(), value));
    }

    pub(crate) fn push_str(&mut self, key: &str, value: &str) {
        self.push(key, Value::String(value.to_owned()));
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    #[cfg(test)]
    pub(crate) fn into_entries(self) -> Vec<(String, Value)> {
        self.0
    }

    pub(crate) fn encode(&self, bytes: &mut Vec<u8>) {
        for (key, value) in &self.0 {
            put_string(bytes, key);
            value.encode(bytes);
        }
    }
}

pub(crate) fn put_u32(bytes: &mut Vec<u8>, value: u32) {
    bytes.extend_from_slice(&value.to_le_bytes());
}

pub(crate) fn put_u64(bytes: &mut Vec<u8>, value: u64) {
    bytes.extend_from_slice(&value.to_le_bytes());
}

pub(crate) fn put_string(bytes: &mut Vec<u8>, value: &str) {
    put_u64(bytes, value.len() as u64);
    bytes.extend_from_slice(value.as_bytes());
}

fn put_array(bytes: &mut Vec<u8>, element: u32, length: usize) {
    put_u32(bytes, ARRAY);
    put_u32(bytes, element);
    put_u64(bytes, length as u64);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(value: Value) -> Vec<u8> {
        let mut metadata = Metadata::default();
        metadata.push("k", value);
        let mut bytes = Vec::new();
        metadata.encode(&mut bytes);
        let value = bytes.split_off(9);
        assert_eq!(bytes, *b"\x01\0\0\0\0\0\0\0k");
        value
    }

    #[test]
    fn a_value_is_its_types_number_and_its_bytes() {
        assert_eq!(encoded(Value::U32(258)), [4, 0, 0, 0, 2, 1, 0, 0]);
        assert_eq!(encoded(Value::F32(1.0)), [6, 0, 0, 0, 0, 0, 0x80, 0x3f]);
        assert_eq!(encoded(Value::Bool(true)), [7, 0, 0, 0, 1]);
        assert_eq!(
            encoded(Value::String("Ġ".to_owned())),
            *b"\x08\0\0\0\x02\0\0\0\0\0\0\0\xc4\xa0"
        );
    }

    #[test]
    fn an_array_has_its_elements_type_and_its_length() {
        assert_eq!(
            encoded(Value::I32s(vec![-1])),
            *b"\x09\0\0\0\x05\0\0\0\x01\0\0\0\0\0\0\0\xff\xff\xff\xff"
        );
        assert_eq!(
            encoded(Value::Strings(vec!["a".to_owned(), String::new()])),
            *b"\x09\0\0\0\x08\0\0\0\x02\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0a\0\0\0\0\0\0\0\0"
        );
    }

    #[test]
    fn keys_keep_their_order() {
        let mut metadata = Metadata::default();
        metadata.push_str("b", "");
        metadata.push_str("a", "");
        let mut bytes = Vec::new();
        metadata.encode(&mut bytes);
        assert_eq!(metadata.len(), 2);
        assert_eq!((bytes[8], bytes[21 + 8]), (b'b', b'a'));
    }
}
