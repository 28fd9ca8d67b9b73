# The trainer that AWS Batch starts (`run --job ID`) and that waits at the queue anywhere else (`work`).
# Not built here: its steps are infra/docker/build-trainer, which needs no docker.
#
#   docker build -f infra/docker/trainer.Dockerfile -t llmopt-trainer .
#
# The machine brings NVIDIA's driver, 580 or newer (CUDA 13); without one the same program trains on the processor,
# unless LLMOPT_DEVICE is `cuda`.
FROM rust:1.95-bookworm AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends cmake libclang-dev python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /llmopt
COPY . .
RUN infra/docker/build-trainer /opt/llmopt && rm -rf /opt/llmopt/libtorch/torch/include

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates libstdc++6 \
 && rm -rf /var/lib/apt/lists/*
# At the path that it was built with.
COPY --from=build /opt/llmopt /opt/llmopt
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    LLMOPT_DATA_DIR=/tmp/llmopt LLMOPT_LOG_FORMAT=json
USER 65534:65534
# SIGTERM has it save a checkpoint and give its job back.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/opt/llmopt/llmopt-trainer"]
CMD ["work"]
