# The AWS emulator of scripts/local-aws in a container, for machines where that does not run.
# Not built here: it installs what scripts/lib/local-aws.sh installs, which needs no docker.
FROM python:3.11-slim-bookworm
COPY scripts/lib/local-aws-requirements.txt /tmp/requirements.txt
RUN pip install --no-cache-dir --only-binary=:all: -r /tmp/requirements.txt && rm /tmp/requirements.txt
# Functions are started in here: whoever reaches the port runs programs.
RUN useradd --create-home aws
USER aws
WORKDIR /home/aws
ENV BIND_HOST=0.0.0.0 GATEWAY_PORT=4566 MINISTACK_HOST=127.0.0.1 AUTH=true
EXPOSE 4566
CMD ["ministack"]
