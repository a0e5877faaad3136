import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Ajv, type ValidateFunction } from 'ajv';
import { LineCounter, parseDocument } from 'yaml';
import { containers } from '../../../services/src/compose.ts';
import { isRecord } from '../labs.ts';
import { exec, packageDir } from './exec.ts';
import { textOf } from './files.ts';
import type { Finding, Gate } from './gate.ts';

const file = 'docker-compose.yml';

/** A port that the code expects a service on. */
export interface Expected {
  readonly name: string;
  readonly port: number;
}

/** The gate on the compose file, for the ports that the code expects. */
export function composeGate(expected: readonly Expected[]): Gate {
  return {
    name: 'compose',
    why: '`docker compose up` gives the servers that the labs look for, and to this machine alone',
    scope: 'repo',
    async run({ root }) {
      const text = await textOf(join(root, file));
      if (text === undefined)
        return [{ where: file, what: 'is missing', remedy: 'every server has its service there' }];
      const lines = new LineCounter();
      const document = parseDocument(text, { merge: true, lineCounter: lines });
      const broken = document.errors.map(({ message, pos: [offset] }) => ({
        where: `${file}:${lines.linePos(offset).line}`,
        what: message.split('\n')[0] ?? message,
        remedy: 'mend the YAML',
      }));
      if (broken.length > 0) return broken;
      const value: unknown = document.toJS();
      return [
        ...(await againstSchema(value)),
        ...services(value),
        ...ports(value, expected),
        ...(await byDocker(root)),
      ];
    },
  };
}

export const compose = composeGate(Object.values(containers).flat());

async function againstSchema(value: unknown): Promise<Finding[]> {
  validator ??= compileSchema();
  const validate = await validator;
  if (validate(value)) return [];
  return (validate.errors ?? []).map(({ instancePath, message, params }) => ({
    where: `${file} ${instancePath}`,
    what: `${message}${'additionalProperty' in params ? `: "${params['additionalProperty']}"` : ''}`,
    remedy: 'see the Compose Specification, https://docs.docker.com/reference/compose-file/services/',
  }));
}

let validator: Promise<ValidateFunction> | undefined;

/** The schema of the Compose Specification, as dclint ships it. */
async function compileSchema(): Promise<ValidateFunction> {
  const schema: unknown = JSON.parse(await readFile(join(packageDir('dclint'), 'schemas/compose.schema.json'), 'utf8'));
  if (!isRecord(schema)) throw new TypeError('the compose schema of dclint is no object');
  const { $schema: _dialect, ...rules } = schema;
  return new Ajv({ allErrors: true, strict: false, validateFormats: false, logger: false }).compile(rules);
}

function entries(value: unknown): readonly (readonly [string, Record<string, unknown>])[] {
  const found = isRecord(value) && isRecord(value['services']) ? value['services'] : {};
  return Object.entries(found).map(([name, service]) => [name, isRecord(service) ? service : {}]);
}

function services(value: unknown): Finding[] {
  return entries(value).flatMap(([name, service]) => {
    const where = `${file} services.${name}`;
    const findings: Finding[] = [];
    if (!isRecord(service['healthcheck'])) {
      const remedy = 'add one: `up --wait` returns when every service answers';
      findings.push({ where, what: 'has no healthcheck', remedy });
    }
    if (!Array.isArray(service['profiles']) || service['profiles'].length === 0) {
      const remedy = 'add it to its group and to "all": nobody wants every server at once';
      findings.push({ where, what: 'has no profile', remedy });
    }
    for (const port of published(service)) {
      if (port.host === '127.0.0.1') continue;
      const what = `publishes ${port.text} on every address`;
      findings.push({
        where,
        what,
        remedy: `write '127.0.0.1:${port.text}': these servers have no password to speak of`,
      });
    }
    return findings;
  });
}

interface Published {
  readonly text: string;
  readonly host: string | undefined;
  readonly port: number;
}

function published(service: Record<string, unknown>): readonly Published[] {
  const list: unknown[] = Array.isArray(service['ports']) ? service['ports'] : [];
  return list.map((each) => {
    if (isRecord(each)) {
      const host = typeof each['host_ip'] === 'string' ? each['host_ip'] : undefined;
      return { text: `${each['published']}:${each['target']}`, host, port: Number(each['published']) };
    }
    const text = String(each);
    const parts = text.split(':');
    return { text, host: parts.length === 3 ? parts[0] : undefined, port: Number(parts.at(-2) ?? parts[0]) };
  });
}

function ports(value: unknown, expected: readonly Expected[]): Finding[] {
  const found = entries(value).flatMap(([name, service]) => published(service).map(({ port }) => ({ name, port })));
  const code = 'shared/services/src/compose.ts';
  // A service that shares the network namespace of another one publishes its ports there.
  const missing = expected
    .filter(({ port }) => !found.some((each) => each.port === port))
    .map(({ name, port }) => ({
      where: file,
      what: `no service has the port ${port}, where ${code} looks for ${name}`,
      remedy: `publish '127.0.0.1:${port}:…' on ${name}`,
    }));
  const unknown = found
    .filter(({ port }) => !expected.some((each) => each.port === port))
    .map(({ name, port }) => ({
      where: `${file} services.${name}`,
      what: `publishes ${port}, which nothing looks for`,
      remedy: `add it to the list in ${code}, or remove it`,
    }));
  const names = new Set(entries(value).map(([name]) => name));
  const strange = expected
    .filter(({ name }) => !names.has(name))
    .map(({ name }) => ({
      where: code,
      what: `names the service ${name}, which ${file} does not have`,
      remedy: 'faults are injected by that name: use the one of the compose file',
    }));
  return [...missing, ...unknown, ...strange];
}

/** The client's own opinion, where there is a client with the compose plugin. */
async function byDocker(root: string): Promise<Finding[]> {
  const run = (args: readonly string[]) =>
    exec('docker', ['compose', ...args], { cwd: root, timeoutMs: 20_000 }).catch(() => undefined);
  const version = await run(['version', '--short']);
  if (version?.code !== 0) return [];
  const config = await run(['-f', file, '--profile', 'all', 'config', '--quiet']);
  if (config === undefined || config.code === 0) return [];
  const what = `docker compose refuses it: ${config.stderr.trim().split('\n').at(-1)}`;
  return [{ where: file, what, remedy: 'run `docker compose --profile all config`' }];
}
