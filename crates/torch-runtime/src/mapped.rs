use tch::{Device, Kind, TchError, Tensor};

/// Lays a CPU tensor of `shape` and `kind` over `bytes` without copying them.
///
/// The tensor must never be written to: it is for frozen weights over a mapped file, whose pages
/// the kernel shares and may drop at will.
///
/// # Errors
/// If `shape` does not fill `bytes` exactly, `bytes` is not aligned for `kind`, or libtorch refuses.
pub fn tensor_over(bytes: &'static [u8], shape: &[i64], kind: Kind) -> Result<Tensor, TchError> {
    let size = kind.elt_size_in_bytes();
    let count: i64 = shape.iter().product();
    if usize::try_from(count)
        .ok()
        .and_then(|count| count.checked_mul(size))
        != Some(bytes.len())
    {
        return Err(TchError::Shape(format!(
            "a {kind:?} tensor of shape {shape:?} does not fill {} bytes",
            bytes.len()
        )));
    }
    if !(bytes.as_ptr() as usize).is_multiple_of(size) {
        return Err(TchError::Shape(format!(
            "the bytes are not aligned for {kind:?}"
        )));
    }
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    // SAFETY: `bytes` outlives every tensor, holds exactly the elements that shape and strides
    // reach, and is aligned for them; the caller writes to it no more than to any `&[u8]`.
    unsafe { Tensor::f_from_blob(bytes.as_ptr(), shape, &strides, kind, Device::Cpu) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_reads_the_bytes_it_lies_over() {
        let bytes: &'static [f32] = Box::leak(Box::new([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
        // SAFETY: any f32 is four bytes.
        let bytes = unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast::<u8>(), 24) };
        let tensor = tensor_over(bytes, &[2, 3], Kind::Float).unwrap();
        assert_eq!(tensor.double_value(&[1, 0]), 4.0);
        assert!(tensor_over(bytes, &[2, 4], Kind::Float).is_err());
        assert!(tensor_over(&bytes[1..21], &[5], Kind::Float).is_err());
    }
}
