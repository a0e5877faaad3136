import { expect, test } from 'vitest';
import { composeGate } from '../../src/check/compose.ts';
import { findingsWith } from './fixture.ts';

const gate = composeGate([{ name: 'redis', port: 46379 }]);
const sound = `services:
  redis:
    image: redis:8
    profiles: [redis, all]
    ports: ['127.0.0.1:46379:6379']
    healthcheck: { test: [CMD, redis-cli, ping] }
`;
const found = (from: string | RegExp, to: string) =>
  findingsWith(gate, { 'docker-compose.yml': sound.replace(from, to) });

test('a sound compose file passes', async () => {
  expect(await found('', '')).toEqual([]);
});

const defects: readonly (readonly [
  name: string,
  from: string,
  to: string,
  where: string,
  what: string,
  remedy: string,
])[] = [
  ['broken YAML', 'services:', 'services: [', 'docker-compose.yml:', '', 'mend the YAML'],
  [
    'an unknown key',
    '    image:',
    '    imagine: x\n    image:',
    'docker-compose.yml /services/redis',
    'must NOT have additional properties: "imagine"',
    'Compose Specification',
  ],
  [
    'a wrong type',
    'image: redis:8',
    'image: [a]',
    'docker-compose.yml /services/redis/image',
    'must be string',
    'Compose Specification',
  ],
  [
    'no healthcheck',
    '    healthcheck: { test: [CMD, redis-cli, ping] }\n',
    '',
    'docker-compose.yml services.redis',
    'has no healthcheck',
    'add one',
  ],
  ['no profile', '    profiles: [redis, all]\n', '', 'docker-compose.yml services.redis', 'has no profile', '"all"'],
  [
    'a port on every address',
    '127.0.0.1:',
    '',
    'docker-compose.yml services.redis',
    'publishes 46379:6379 on every address',
    "'127.0.0.1:46379:6379'",
  ],
  [
    'a port that the code looks for elsewhere',
    '46379',
    '46380',
    'docker-compose.yml',
    'no service has the port 46379',
    'publish',
  ],
  [
    'a port that nothing looks for',
    '46379',
    '46380',
    'docker-compose.yml services.redis',
    'publishes 46380, which nothing looks for',
    'shared/services/src/compose.ts',
  ],
  [
    'a service by another name',
    '  redis:\n',
    '  valkey:\n',
    'shared/services/src/compose.ts',
    'names the service redis',
    'faults',
  ],
];

test.each(defects)('%s is found, with its remedy', async (_name, from, to, where, what, remedy) => {
  expect(await found(from, to)).toContainEqual({
    where: expect.stringContaining(where),
    what: expect.stringContaining(what),
    remedy: expect.stringContaining(remedy),
  });
});

test('a missing compose file is found', async () => {
  expect(await findingsWith(gate)).toMatchObject([{ where: 'docker-compose.yml', what: 'is missing' }]);
});
