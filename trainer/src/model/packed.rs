use tch::{Device, TchError, Tensor};

/// Tokens by which rows may differ on a GPU and still share one attention call, the shorter ones padded. An estimate: one
/// more call in each layer takes the processor a millisecond or two, which for GPT-2 small is this much padding in f32.
const GPU_SLACK: usize = 64;

/// Rows laid end to end, on a CPU without padding. Attention never crosses from one into another.
#[derive(Debug)]
pub struct PackedBatch {
    /// Token ids, `[T]`, i64.
    pub ids: Tensor,
    /// Each token's position within its row, `[T]`, i64.
    pub positions: Tensor,
    /// `(count, length)`: so many rows of this length, padding included, follow each other. Their products sum to `T`.
    pub groups: Vec<(i64, i64)>,
    /// Indices into `T` of the tokens whose successor is a label, `[N]`, i64.
    pub label_rows: Tensor,
    /// Those successors, `[N]`, i64.
    pub targets: Tensor,
}

impl PackedBatch {
    /// Packs `rows` of token ids and loss masks (mask `i` says whether token `i` is a label).
    ///
    /// Rows are sorted by length, so that rows of one length share one attention call, and on a GPU rows of like
    /// length. Padding is on the right, where causal attention has no token look at it, and has no label.
    ///
    /// # Errors
    /// If libtorch cannot allocate.
    pub fn pack<'a>(
        rows: impl IntoIterator<Item = (&'a [u32], &'a [bool])>,
        device: Device,
    ) -> Result<Self, TchError> {
        let slack = if device.is_cuda() { GPU_SLACK } else { 0 };
        Self::pack_within(rows, slack, device)
    }

    /// As [`Self::pack`], with rows padded where they differ by at most `slack` tokens from the shortest.
    pub(crate) fn pack_within<'a>(
        rows: impl IntoIterator<Item = (&'a [u32], &'a [bool])>,
        slack: usize,
        device: Device,
    ) -> Result<Self, TchError> {
        let mut rows: Vec<_> = rows.into_iter().collect();
        rows.sort_by_key(|(ids, _)| ids.len());
        let mut packed = Packed::default();
        let mut rest = &rows[..];
        while let Some((shortest, _)) = rest.first() {
            let most = shortest.len() + slack;
            let (group, longer) = rest.split_at(rest.partition_point(|(ids, _)| ids.len() <= most));
            packed.push(group);
            rest = longer;
        }
        let tensor = |values: &[i64]| Tensor::f_from_slice(values)?.f_to_device(device);
        Ok(Self {
            ids: tensor(&packed.ids)?,
            positions: tensor(&packed.positions)?,
            groups: packed.groups,
            label_rows: tensor(&packed.label_rows)?,
            targets: tensor(&packed.targets)?,
        })
    }

    /// Returns the number of labels, `N`.
    pub fn labels(&self) -> usize {
        self.targets.numel()
    }
}

/// The fields of a [`PackedBatch`] as they grow.
#[derive(Default)]
struct Packed {
    ids: Vec<i64>,
    positions: Vec<i64>,
    groups: Vec<(i64, i64)>,
    label_rows: Vec<i64>,
    targets: Vec<i64>,
}

impl Packed {
    /// Appends rows, sorted by length, each padded to the length of the last.
    fn push(&mut self, group: &[(&[u32], &[bool])]) {
        let length = group.last().map_or(0, |(ids, _)| ids.len());
        for (tokens, mask) in group {
            let start = self.ids.len();
            self.ids.extend(tokens.iter().map(|&id| i64::from(id)));
            self.ids.resize(start + length, 0);
            self.positions.extend(0..length as i64);
            for (index, _) in mask.iter().enumerate().skip(1).filter(|(_, label)| **label) {
                self.label_rows.push((start + index) as i64 - 1);
                self.targets.push(i64::from(tokens[index]));
            }
        }
        self.groups.push((group.len() as i64, length as i64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of 3, 5, 5 and 9 tokens, whose labels are their last two.
    fn pack(slack: usize) -> PackedBatch {
        let rows: [(Vec<u32>, Vec<bool>); 4] = [5, 9, 3, 5].map(|length| {
            let ids = (10 * length..11 * length).collect();
            let mask = (0..length).map(|at| at + 2 >= length).collect();
            (ids, mask)
        });
        let rows = rows.iter().map(|(ids, mask)| (&ids[..], &mask[..]));
        PackedBatch::pack_within(rows, slack, Device::Cpu).unwrap()
    }

    fn values(tensor: &Tensor) -> Vec<i64> {
        tensor.try_into().unwrap()
    }

    #[test]
    fn rows_of_like_length_are_padded_to_one_and_keep_their_labels() {
        let alone = pack(0);
        assert_eq!(alone.groups, [(1, 3), (2, 5), (1, 9)]);
        let padded = pack(2);
        assert_eq!(padded.groups, [(3, 5), (1, 9)]);
        assert_eq!(values(&padded.ids)[..7], [30, 31, 32, 0, 0, 50, 51]);
        assert_eq!(values(&padded.positions)[..7], [0, 1, 2, 3, 4, 0, 1]);
        for batch in [&alone, &padded] {
            let before = batch.ids.index_select(0, &batch.label_rows);
            let (before, after) = (values(&before), values(&batch.targets));
            assert_eq!(after, [31, 32, 53, 54, 53, 54, 97, 98]);
            let follow = before
                .iter()
                .zip(&after)
                .all(|(one, next)| one + 1 == *next);
            assert!(follow, "{before:?}");
        }
    }
}
