use crate::tensor::Layout;

/// What llama.cpp calls a tensor, and how it keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) layout: Layout,
    pub(crate) kind: Kind,
}

/// Whether a tensor has the type that a file is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It has.
    Matrix,
    /// It is always in 32-bit floats: a vector, or the position embedding.
    Exact,
}

/// Returns the place of the tensor that this project calls `name`, such as `h.0.attn.c_attn.weight`.
pub(crate) fn place(name: &str) -> Option<Place> {
    let (module, ending) = name.rsplit_once('.')?;
    let (part, layout, matrix) = match module {
        "wte" => ("token_embd".to_owned(), Layout::AsStored, Kind::Matrix),
        "wpe" => ("position_embd".to_owned(), Layout::AsStored, Kind::Exact),
        "ln_f" => ("output_norm".to_owned(), Layout::AsStored, Kind::Exact),
        "lm_head" => ("output".to_owned(), Layout::AsStored, Kind::Matrix),
        _ => in_block(module)?,
    };
    let (layout, kind) = match ending {
        "weight" => (layout, matrix),
        "bias" => (Layout::AsStored, Kind::Exact),
        _ => return None,
    };
    Some(Place {
        name: format!("{part}.{ending}"),
        layout,
        kind,
    })
}

fn in_block(module: &str) -> Option<(String, Layout, Kind)> {
    let (layer, part) = module.strip_prefix("h.")?.split_once('.')?;
    let layer: u32 = layer.parse().ok()?;
    let (part, layout, kind) = match part {
        "ln_1" => ("attn_norm", Layout::AsStored, Kind::Exact),
        "attn.c_attn" => ("attn_qkv", Layout::Transposed, Kind::Matrix),
        "attn.c_proj" => ("attn_output", Layout::Transposed, Kind::Matrix),
        "ln_2" => ("ffn_norm", Layout::AsStored, Kind::Exact),
        "mlp.c_fc" => ("ffn_up", Layout::Transposed, Kind::Matrix),
        "mlp.c_proj" => ("ffn_down", Layout::Transposed, Kind::Matrix),
        _ => return None,
    };
    Some((format!("blk.{layer}.{part}"), layout, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> Option<String> {
        place(name).map(|place| place.name)
    }

    #[test]
    fn every_part_of_a_gpt2_has_its_name_in_llama_cpp() {
        for (ours, theirs) in [
            ("wte.weight", "token_embd.weight"),
            ("wpe.weight", "position_embd.weight"),
            ("h.0.ln_1.weight", "blk.0.attn_norm.weight"),
            ("h.0.ln_1.bias", "blk.0.attn_norm.bias"),
            ("h.11.attn.c_attn.weight", "blk.11.attn_qkv.weight"),
            ("h.11.attn.c_attn.bias", "blk.11.attn_qkv.bias"),
            ("h.2.attn.c_proj.weight", "blk.2.attn_output.weight"),
            ("h.2.ln_2.bias", "blk.2.ffn_norm.bias"),
            ("h.2.mlp.c_fc.weight", "blk.2.ffn_up.weight"),
            ("h.2.mlp.c_proj.bias", "blk.2.ffn_down.bias"),
            ("ln_f.weight", "output_norm.weight"),
            ("lm_head.weight", "output.weight"),
        ] {
            assert_eq!(name(ours).as_deref(), Some(theirs));
        }
    }

    #[test]
    fn what_is_no_part_of_a_gpt2_has_no_place() {
        for unknown in [
            "",
            "wte",
            "wte.scale",
            "h.weight",
            "h.x.ln_1.weight",
            "h.0.attn.c_attn",
            "h.0.attn.q_proj.weight",
            "model.layers.0.weight",
        ] {
            assert_eq!(name(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn the_matrices_of_the_blocks_are_transposed_and_nothing_else_is() {
        let layout = |name| place(name).unwrap().layout;
        assert_eq!(layout("h.0.attn.c_attn.weight"), Layout::Transposed);
        assert_eq!(layout("h.0.mlp.c_proj.weight"), Layout::Transposed);
        assert_eq!(layout("h.0.mlp.c_proj.bias"), Layout::AsStored);
        assert_eq!(layout("wte.weight"), Layout::AsStored);
        assert_eq!(layout("lm_head.weight"), Layout::AsStored);
    }
}
