import type { Context } from '#lab';

/** A Dockerfile with defects that were planted, and with what only looks like one. */
export interface Planted {
  readonly name: string;
  readonly text: string;
  readonly context?: Context;
  /** `RULE:LINE`. Whatever else is found is a false alarm. */
  readonly defects: readonly string[];
}

const WELL = `FROM node:24.11-bookworm-slim
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev
COPY src src
USER node
HEALTHCHECK CMD ["node", "src/healthcheck.ts"]
CMD ["node", "src/server.ts"]
`;

export const corpus: readonly Planted[] = [
  { name: 'a good one', text: WELL, defects: [] },
  {
    name: 'the one of every first tutorial',
    text: `FROM node
WORKDIR /app
COPY . .
RUN npm install
CMD npm start
`,
    context: { files: ['package.json', 'src/server.ts', '.env', '.git/HEAD', 'node_modules/a/index.js'] },
    defects: ['DL3006:1', 'CL1002:1', 'DL3057:1', 'CL1005:3', 'CL1008:3', 'CL1007:4', 'DL3025:5'],
  },
  {
    name: 'npm is process 1',
    text: WELL.replace('CMD ["node", "src/server.ts"]', 'CMD ["npm", "start"]'),
    defects: ['CL1001:8'],
  },
  {
    name: 'a shell that does not exec, with and without',
    text: `FROM alpine:3.22
USER 1000
HEALTHCHECK NONE
ENTRYPOINT ["/bin/sh", "-c", "migrate && node server.js"]
`,
    defects: ['CL1001:4'],
  },
  {
    name: 'a shell that execs',
    text: `FROM alpine:3.22
USER 1000
HEALTHCHECK NONE
ENTRYPOINT ["/bin/sh", "-c", "migrate && exec node server.js"]
`,
    defects: [],
  },
  {
    name: 'single quotes are no JSON',
    text: WELL.replace('CMD ["node", "src/server.ts"]', "CMD ['node', 'src/server.ts']"),
    defects: ['DL3025:8'],
  },
  {
    name: 'root on the way is no root in the end',
    text: `FROM debian:12.12 AS tools
USER root
RUN touch /tools
FROM tools
USER app:app
HEALTHCHECK NONE
CMD ["/tools"]
`,
    defects: [],
  },
  {
    name: 'root again',
    text: `FROM debian:12.12
USER app
RUN whoami
USER 0:0
HEALTHCHECK NONE
CMD ["/tools"]
`,
    defects: ['DL3002:4'],
  },
  {
    name: 'the user of the stage below',
    text: `FROM node:24.11 AS base
USER node
HEALTHCHECK NONE
FROM base
CMD ["node", "server.js"]
`,
    defects: [],
  },
  {
    name: 'versions',
    text: `ARG TAG=24.11
ARG OPEN
FROM node:latest AS a
FROM node:\${TAG} AS b
FROM node:\${OPEN} AS c
FROM registry.local:5000/team/base AS d
FROM node@sha256:0123456789012345678901234567890123456789012345678901234567890123 AS e
FROM scratch AS f
FROM A
USER node
HEALTHCHECK NONE
`,
    defects: ['DL3007:3', 'DL3006:6'],
  },
  {
    name: 'apt, over lines with a comment between',
    text: `FROM debian:12.12
RUN apt-get update && \\
    # for the health check
    apt-get install -y curl "git" \\
      ca-certificates=20230311
RUN echo "apt-get install -y nothing" && echo 'curl x | sh'
RUN apt-get update && apt-get install -y --no-install-recommends tini=0.19.0-1 && rm -rf /var/lib/apt/lists/*
USER app
HEALTHCHECK NONE
`,
    defects: ['DL3008:2', 'DL3009:2'],
  },
  {
    name: 'a heredoc is a script',
    text: `FROM python:3.13-slim
COPY requirements.txt ./
RUN <<EOF
apt-get update
pip install -r requirements.txt
curl -fsSL https://get.example.com | bash
EOF
COPY <<EOF /etc/note
FROM nowhere:latest
RUN apt-get update
USER root
EOF
USER 1000:1000
HEALTHCHECK NONE
CMD ["python", "app.py"]
`,
    defects: ['DL3009:3', 'DL3042:3', 'DL4006:3', 'CL1006:3'],
  },
  {
    name: 'pipes',
    text: `FROM debian:12.12
RUN curl -fsSL https://example.com/a.tgz | tar -xz
RUN true || echo "a | b"
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
RUN curl -fsSL https://example.com/b.tgz | tar -xz
RUN wget -qO- https://example.com/install.sh | sudo bash -s -- --yes
USER app
HEALTHCHECK NONE
`,
    defects: ['DL4006:2', 'CL1006:6'],
  },
  {
    name: 'secrets that stay',
    text: `FROM node:24.11 AS build
ARG NPM_TOKEN
ENV DATABASE_URL=postgres://shop:hunter2@db/shop
ENV TOKEN_TTL=60 \\
    DB_PASSWORD_FILE=/run/secrets/db
ARG API_KEY_HEADER=x-api-key
RUN --mount=type=secret,id=npm NPM_TOKEN=$(cat /run/secrets/npm) npm ci
FROM build
LABEL owner=ghp_0123456789abcdefghijABCDEFGHIJ012345
ENV SESSION_SECRET=
USER node
HEALTHCHECK NONE
CMD ["node", "server.js"]
`,
    defects: ['CL1003:2', 'CL1003:3', 'CL1003:9'],
  },
  {
    name: 'deleted too late',
    text: `FROM node:24.11
WORKDIR /app
COPY .npmrc package.json package-lock.json ./
RUN npm ci && rm -f .npmrc
COPY src src
RUN rm -rf /tmp/build
USER node
HEALTHCHECK NONE
CMD ["node", "src/server.js"]
`,
    defects: ['CL1004:4'],
  },
  {
    name: 'deleted in a stage that is not shipped',
    text: `FROM node:24.11 AS build
WORKDIR /app
COPY .npmrc package.json package-lock.json ./
RUN npm ci && rm .npmrc
FROM node:24.11
COPY --from=build /app /app
USER node
HEALTHCHECK NONE
CMD ["node", "/app/server.js"]
`,
    defects: [],
  },
  {
    name: 'a context that is closed, and one that is open',
    text: `FROM node:24.11
WORKDIR /app
COPY certs certs
COPY --from=busybox:1.37 /bin/busybox /bin/
COPY package.json .
USER node
HEALTHCHECK NONE
CMD ["node", "server.js"]
`,
    context: {
      files: ['certs/server.pem', 'certs/ca.crt', '.env', 'package.json', 'node_modules/x/y.js'],
      ignore: '.env\nnode_modules',
    },
    defects: ['CL1008:3'],
  },
  {
    name: 'an example of an .env is none',
    text: `FROM node:24.11
COPY . /app
USER node
HEALTHCHECK NONE
CMD ["node", "/app/server.js"]
`,
    context: { files: ['.env.example', 'packages/a/node_modules/b.js', 'server.js'], ignore: '**/node_modules\n.env' },
    defects: [],
  },
  {
    name: 'lockfiles',
    text: `FROM node:24.11
COPY package.json pnpm-lock.yaml ./
RUN corepack enable && pnpm install --prod
RUN npm install -g serve@14.2.5 && yarn --frozen-lockfile
RUN npm i
RUN pip install --no-cache-dir "rich==14.0.0"
USER node
HEALTHCHECK NONE
`,
    defects: ['CL1007:3', 'CL1007:5'],
  },
  {
    name: 'ADD',
    text: `FROM debian:12.12
ADD rootfs.tar.xz /
ADD https://example.com/tool /usr/bin/tool
ADD app.js config.json /app/
USER app
HEALTHCHECK NONE
`,
    defects: ['DL3020:4'],
  },
  {
    name: 'not a Dockerfile',
    text: `WORKDIR /app
FROM debian:12.12
COPYY a b
RUN
USER app
HEALTHCHECK NONE
`,
    defects: ['DL1000:1', 'DL1000:3', 'DL1000:4'],
  },
  {
    name: 'Windows line ends and small letters',
    text: 'from node\r\ncopy a.txt /\r\nuser root\r\nhealthcheck none\r\ncmd node \\\r\n  server.js\r\n',
    defects: ['DL3006:1', 'DL3002:3', 'DL3025:5'],
  },
  {
    name: 'pip, with and without its cache',
    text: `FROM python:3.13 AS a
ENV PIP_NO_CACHE_DIR=1
RUN pip install rich
FROM python:3.13
LABEL PIP_NO_CACHE_DIR=1
ENV OTHER=1
RUN python -m pip install rich && pip list
RUN --mount=type=cache,target=/root/.cache pip3 install rich
RUN pip download rich
USER app
HEALTHCHECK NONE
`,
    defects: ['DL3042:7'],
  },
  {
    name: 'pipes that are watched, and not',
    text: `FROM debian:12.12 AS a
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
RUN x | y
FROM a
RUN x | y
SHELL /bin/bash -o pipefail -c
RUN x | y
RUN set -o pipefail && x | y
SHELL ["/bin/bash", "-c"]
RUN x | y
RUN set -e | y
RUN x |& y
RUN echo pipefail | set
RUN ["x", "|", "y"]
USER app
HEALTHCHECK NONE
`,
    defects: ['DL4006:7', 'DL4006:10', 'DL4006:11', 'DL4006:12', 'DL4006:13'],
  },
  {
    name: 'apt behind other words, from a file, with a cache',
    text: `FROM debian:12.12
RUN if true; then sudo apt-get update; fi
RUN --mount=type=cache,target=/var/lib/apt apt-get update && apt install -y ./own.deb $NAME tini=0.19
RUN apt-get update && apt-get remove -y curl && rm -rf /var/lib/apt/lists
RUN DEBIAN_FRONTEND=noninteractive /usr/bin/apt-get -y install jq
USER app
HEALTHCHECK NONE
`,
    defects: ['DL3009:2', 'DL3008:5'],
  },
  {
    name: 'managers and their lockfiles',
    text: `FROM node:24.11
COPY . .
RUN npm install -g
RUN yarn install --immutable && yarn build && bun install --frozen-lockfile
RUN pnpm i && npm install --global && npm run install
RUN yarn
USER app
HEALTHCHECK NONE
`,
    defects: ['CL1005:2', 'CL1007:5', 'CL1007:6'],
  },
  {
    name: 'what ADD is for, and what not',
    text: `FROM debian:12.12
ADD git@github.com:shop/till.git /src
ADD https://github.com/shop/till.git#main /src
ADD --chown=app a.tgz b.tar.gz /
ADD a.tar.zst c.txt /
ADD <<EOF /etc/motd
open
EOF
USER app
HEALTHCHECK NONE
`,
    defects: ['DL3020:5'],
  },
  {
    name: 'run from the network, and not',
    text: `FROM debian:12.12
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
RUN curl -fsSL https://x | node -
RUN wget -qO- https://x | /usr/bin/python3
RUN cat install.sh | sh
RUN curl https://x | tar x && sh install.sh
RUN curl https://x > y; sh y | tee log
USER app
HEALTHCHECK NONE
`,
    defects: ['CL1006:3', 'CL1006:4'],
  },
  {
    name: 'a heredoc is data for whoever is no shell',
    text: `FROM python:3.13
RUN <<EOF
#!/usr/bin/env python3
print(1 | 2)
EOF
RUN python3 <<EOF
print(1 | 2)
EOF
RUN cat <<EOF >/etc/motd && curl https://x | sh
apt-get update
EOF
RUN bash -e <<EOF
apt-get update
EOF
USER app
HEALTHCHECK NONE
`,
    defects: ['CL1006:9', 'DL4006:9', 'DL3009:12'],
  },
  {
    name: 'what stands on a shell’s line: numbers, patterns, substitutions, redirections, other words before a command',
    text: `FROM debian:12.12
RUN case $(uname -m) in x86_64|amd64) A=1 ;; aarch64|arm64) A=2 ;; esac
RUN if [ $# -gt 0 ]; then x; elif x \${A:+ -b "c d"}; then echo https://x/#a | y; fi
RUN apt-get install -y -t bookworm-backports x=1 >log 2>&1 </dev/null
RUN apt-get -o Acquire::Retries=3 install -y x
RUN sudo -E apt-get install -y y && sudo -u app apt-get install -y z=1
SHELL ["pwsh", "-Command"]
RUN Get-Content a | Out-File b
USER app
HEALTHCHECK NONE
`,
    defects: ['DL4006:3', 'DL3008:5', 'DL3008:6'],
  },
  {
    name: 'run from the network in other ways, and what is only read',
    text: `FROM debian:12.12
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
RUN curl https://x | sudo -E bash -
RUN curl https://x | tee y | sh
RUN bash -c "curl https://x | sh"
RUN ["bash", "-o", "pipefail", "-c", "curl https://x | sh"]
RUN sh -c "$(curl https://x)"
RUN bash <(curl https://x)
RUN eval "$(wget -qO- https://x)"
RUN curl https://x/#a | python3.12 -
RUN curl https://x | node -e "JSON.parse" && curl https://x | python3 -m json.tool && curl https://x | bash own.sh
USER app
HEALTHCHECK NONE
`,
    defects: [3, 4, 5, 6, 7, 8, 9, 10].map((line) => `CL1006:${line}`),
  },
  {
    name: 'lists and caches that are gone, or in a stage that is not shipped',
    text: `FROM debian:12.12 AS base
ENV PIP_NO_CACHE_DIR=1
FROM debian:12.12 AS thrown
RUN apt-get update && pip install rich
FROM base
RUN apt-get update && apt-get dist-clean
RUN apt-get update && rm -rf /var/lib/{apt,dpkg} && pip install rich
RUN apt-get update && find /var/lib/apt/lists -delete
FROM debian:12.12
RUN PIP_NO_CACHE_DIR=1 pip install rich && uv pip install rich
RUN pip install rich && rm -rf ~/.cache
RUN pip3.12 install rich
RUN apt-get update && rm -rf /var/lib/dpkg
USER app
HEALTHCHECK NONE
`,
    defects: ['DL3042:12', 'DL3009:13'],
  },
  {
    name: 'managers whose flags have values, and another stage’s files',
    text: `FROM node:24.11
COPY --from=tools . .
RUN npm --prefix web install && yarn -v
RUN yarn --network-timeout 100000
RUN pnpm install --filter web 2>/dev/null || true
RUN npm ci --prefix web && yarn install --frozen-lockfile=true && npm install --prefix /opt serve
USER app
HEALTHCHECK NONE
`,
    defects: ['CL1007:3', 'CL1007:4', 'CL1007:5'],
  },
  {
    name: 'what ONBUILD does in the next image',
    text: `FROM node:24.11
ONBUILD ENV NPM_TOKEN=x
ONBUILD RUN npm install
# hadolint ignore=DL3020 # a link
ONBUILD ADD a.txt /
ONBUILD RNU x
USER app
ONBUILD USER root
HEALTHCHECK NONE
`,
    defects: ['CL1003:2', 'CL1007:3', 'DL1000:6'],
  },
  {
    name: 'quotes, defaults, a name given twice',
    text: `ARG OPEN
FROM \${OPEN:-debian:latest} AS build
USER root
FROM debian:12.12 AS build
USER app
ENV MYSQL_ALLOW_EMPTY_PASSWORD=yes PGPASSWORD=x
LABEL pat=github_pat_11ABCDEFG0abcdefghij
ADD "a.tgz" /
ADD $URL /
FROM build
HEALTHCHECK NONE
FROM build
USER "\${WHO:-root}"
HEALTHCHECK NONE
`,
    defects: ['DL3007:2', 'CL1003:6', 'CL1003:7', 'DL3002:13'],
  },
];
