use tch::{Device, TchError, Tensor};

/// Rows laid end to end without padding. Attention never crosses from one into another.
#[derive(Debug)]
pub struct PackedBatch {
    /// Token ids, `[T]`, i64.
    pub ids: Tensor,
    /// Each token's position within its row, `[T]`, i64.
    pub positions: Tensor,
    /// `(count, length)`: so many rows of this length follow each other. Their products sum to `T`.
    pub groups: Vec<(i64, i64)>,
    /// Indices into `T` of the tokens whose successor is a label, `[N]`, i64.
    pub label_rows: Tensor,
    /// Those successors, `[N]`, i64.
    pub targets: Tensor,
}

impl PackedBatch {
    /// Packs `rows` of token ids and loss masks (mask `i` says whether token `i` is a label).
    ///
    /// Rows are sorted by length, so that rows of one length share one attention call.
    ///
    /// # Errors
    /// If libtorch cannot allocate.
    pub fn pack<'a>(
        rows: impl IntoIterator<Item = (&'a [u32], &'a [bool])>,
        device: Device,
    ) -> Result<Self, TchError> {
        let mut rows: Vec<_> = rows.into_iter().collect();
        rows.sort_by_key(|(ids, _)| ids.len());
        let (mut ids, mut positions, mut label_rows, mut targets) =
            (vec![], vec![], vec![], vec![]);
        let mut groups: Vec<(i64, i64)> = Vec::new();
        for (tokens, mask) in rows {
            let (start, length) = (ids.len() as i64, tokens.len() as i64);
            ids.extend(tokens.iter().map(|&id| i64::from(id)));
            positions.extend(0..length);
            for (index, _) in mask.iter().enumerate().skip(1).filter(|(_, label)| **label) {
                label_rows.push(start + index as i64 - 1);
                targets.push(i64::from(tokens[index]));
            }
            match groups.last_mut() {
                Some((count, last)) if *last == length => *count += 1,
                _ => groups.push((1, length)),
            }
        }
        let tensor = |values: &[i64]| Tensor::f_from_slice(values)?.f_to_device(device);
        Ok(Self {
            ids: tensor(&ids)?,
            positions: tensor(&positions)?,
            groups,
            label_rows: tensor(&label_rows)?,
            targets: tensor(&targets)?,
        })
    }

    /// Returns the number of labels, `N`.
    pub fn labels(&self) -> usize {
        self.targets.numel()
    }
}
