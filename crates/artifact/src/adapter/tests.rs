use llmopt_domain::LoraConfig;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::{testing, testing::write_safetensors};

const MODULE: &str = "h.0.attn.c_attn";

fn lora() -> LoraConfig {
    LoraConfig {
        rank: 2,
        alpha: 4.0,
        dropout: 0.0,
        target_modules: vec!["c_proj".into(), "c_attn".into()],
    }
}

fn folder(a: &[usize], b: &[usize]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    AdapterConfig::for_gpt2("openai-community/gpt2", &lora())
        .write(folder.path())
        .unwrap();
    let tensors = [(LoraFactor::A, a), (LoraFactor::B, b)].map(|(factor, shape)| {
        testing::tensor(&adapter_tensor_name(MODULE, factor), Dtype::F32, shape)
    });
    write_safetensors(&folder.path().join(WEIGHTS), tensors);
    folder
}

fn read(json: Value) -> Result<AdapterConfig, ArtifactError> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(CONFIG), json.to_string()).unwrap();
    AdapterConfig::read(folder.path())
}

#[test]
fn the_written_configuration_has_exactly_pefts_minimal_keys() {
    let folder = folder(&[2, 8], &[24, 2]);
    let json: Value = files::read_json(&folder.path().join(CONFIG)).unwrap();
    assert_eq!(
        json,
        json!({
            "peft_type": "LORA", "task_type": "CAUSAL_LM",
            "base_model_name_or_path": "openai-community/gpt2", "revision": null,
            "inference_mode": true, "r": 2, "lora_alpha": 4, "lora_dropout": 0.0,
            "target_modules": ["c_attn", "c_proj"], "bias": "none", "fan_in_fan_out": true,
            "use_rslora": false, "use_dora": false, "modules_to_save": null
        })
    );
}

#[test]
fn an_adapter_is_opened_with_its_factors() {
    let folder = folder(&[2, 8], &[24, 2]);
    let adapter = AdapterFolder::open(folder.path()).unwrap();
    assert_eq!(adapter.modules(), [MODULE]);
    assert_eq!(adapter.factor(MODULE, LoraFactor::A).unwrap().shape, [2, 8]);
    let name = adapter_tensor_name(MODULE, LoraFactor::B);
    assert_eq!(adapter.tensor(&name).unwrap().shape, [24, 2]);
    assert!((adapter.config().scale() - 2.0).abs() < f64::EPSILON);
    let name = "base_model.model.transformer.h.0.attn.c_attn.lora_A.weight";
    assert_eq!(adapter_tensor_name(MODULE, LoraFactor::A), name);
}

#[test]
fn a_factor_of_another_rank_is_refused() {
    for (a, b) in [(&[3, 8], &[24, 2]), (&[2, 8], &[24, 3])] {
        let error = AdapterFolder::open(folder(a, b).path()).unwrap_err();
        assert!(matches!(error, ArtifactError::Shape { .. }), "{error}");
    }
}

#[test]
fn a_factor_without_its_other_half_is_refused() {
    let folder = folder(&[2, 8], &[24, 2]);
    let name = adapter_tensor_name(MODULE, LoraFactor::A);
    let path = folder.path().join(WEIGHTS);
    write_safetensors(&path, [testing::tensor(&name, Dtype::F32, &[2, 8])]);
    let error = AdapterFolder::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("lora_B"), "{error}");
}

#[test]
fn a_name_that_peft_would_not_match_is_refused() {
    let folder = folder(&[2, 8], &[24, 2]);
    let path = folder.path().join(WEIGHTS);
    for name in [
        "base_model.model.transformer.h.0.attn.c_attn.lora_A.default.weight",
        "base_model.model.h.0.attn.c_attn.lora_A.weight",
        "h.0.attn.c_attn.lora_A.weight",
    ] {
        write_safetensors(&path, [testing::tensor(name, Dtype::F32, &[2, 8])]);
        let error = AdapterFolder::open(folder.path()).unwrap_err();
        assert!(
            matches!(error, ArtifactError::UnexpectedTensor { .. }),
            "{error}"
        );
    }
    write_safetensors(&path, []);
    let error = AdapterFolder::open(folder.path()).unwrap_err();
    assert!(
        matches!(error, ArtifactError::MissingTensor { .. }),
        "{error}"
    );
}

fn replace_targets(folder: &Path, targets: Value) {
    let mut json: Value = files::read_json(&folder.join(CONFIG)).unwrap();
    json["target_modules"] = targets;
    std::fs::write(folder.join(CONFIG), json.to_string()).unwrap();
}

#[test]
fn a_tensor_for_a_layer_that_is_no_target_is_refused() {
    let folder = folder(&[2, 8], &[24, 2]);
    for targets in [json!(["c_fc"]), json!(["attn"]), json!(["attn.c_proj"])] {
        replace_targets(folder.path(), targets);
        let error = AdapterFolder::open(folder.path()).unwrap_err();
        assert!(
            matches!(error, ArtifactError::UnexpectedTensor { .. }),
            "{error}"
        );
    }
    replace_targets(folder.path(), json!(["attn.c_attn"]));
    AdapterFolder::open(folder.path()).unwrap();
}

#[test]
fn a_pattern_of_targets_becomes_the_layers_that_have_tensors() {
    let folder = folder(&[2, 8], &[24, 2]);
    replace_targets(folder.path(), json!(".*c_attn"));
    let adapter = AdapterFolder::open(folder.path()).unwrap();
    assert_eq!(adapter.config().target_modules, [MODULE]);
}

#[test]
fn a_folder_without_the_adapters_weights_is_refused_by_the_files_name() {
    let folder = folder(&[2, 8], &[24, 2]);
    std::fs::remove_file(folder.path().join(WEIGHTS)).unwrap();
    let error = AdapterFolder::open(folder.path()).unwrap_err().to_string();
    assert!(
        error.contains("has no `adapter_model.safetensors`"),
        "{error}"
    );
}

#[test]
fn newer_keys_that_change_nothing_are_ignored() {
    let config = read(json!({
        "peft_type": "LORA", "r": 4, "lora_alpha": 16, "target_modules": ["c_attn"], "bias": "none",
        "corda_config": null, "eva_config": null, "rank_pattern": {}, "alpha_pattern": {},
        "lora_bias": false, "trainable_token_indices": null, "layers_to_transform": null,
        "use_rslora": true, "modules_to_save": null, "qalora_group_size": 16
    }))
    .unwrap();
    assert!((config.scale() - 8.0).abs() < f64::EPSILON);
    let pattern = json!({"peft_type": "LORA", "target_modules": ".*c_attn"});
    assert!(read(pattern).unwrap().target_modules.is_empty());
}

#[test]
fn what_is_not_plain_lora_is_refused_by_its_key() {
    for (key, value) in [
        ("peft_type", json!("IA3")),
        ("bias", json!("all")),
        ("r", json!(0)),
        ("use_dora", json!(true)),
        ("modules_to_save", json!(["lm_head"])),
        ("rank_pattern", json!({"c_attn": 4})),
        ("alpha_pattern", json!({"c_attn": 4})),
    ] {
        let mut json = json!({"peft_type": "LORA", "r": 4, "target_modules": ["c_attn"]});
        json[key] = value;
        let error = read(json).unwrap_err().to_string();
        assert!(error.contains(&format!("`{key}` is `")), "{error}");
    }
}
