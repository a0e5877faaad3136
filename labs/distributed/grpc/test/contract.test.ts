import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { clone, create, fromBinary, fromJsonString, toBinary, toJsonString } from '@bufbuild/protobuf';
import {
  DescriptorProto_ReservedRangeSchema,
  EnumDescriptorProto_EnumReservedRangeSchema,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from '@bufbuild/protobuf/wkt';
import { describe, expect, onTestFinished, test } from 'vitest';
import { breakingChanges } from '#lab';
import { file_grpc_health_v1_health } from '../src/grpc/health/v1/health_pb.ts';
import { buf, built, changed, changes, edits } from './contracts.ts';

const here = join(import.meta.dirname, '..');
const scratch = async () => {
  const dir = await mkdtemp(join(tmpdir(), 'grpc-lab-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  return dir;
};

describe('the contract', () => {
  // buf is a program of 47 MB, and its plugin a Node of its own: on a busy machine they take their time to start.
  test('the code beside each .proto is what buf makes of it', { timeout: 20_000 }, async () => {
    const dir = await scratch();
    await buf('generate', '-o', dir);
    for (const [module, file] of [
      ['src', 'grpc/health/v1/health_pb.ts'],
      ['test', 'shop/v1/shop_pb.ts'],
    ] as const) {
      const [made, kept] = await Promise.all(
        [join(dir, file), join(here, module, file)].map((path) => readFile(path, 'utf8')),
      );
      expect(kept, `${module}/${file}: run \`npm run generate\``).toBe(made);
    }
  });

  test('a value of an enum goes only with its number reserved', () => {
    const without = (...reserved: { start: number; end: number }[]) => {
      const proto = clone(FileDescriptorProtoSchema, file_grpc_health_v1_health.proto);
      const status = proto.messageType.flatMap(({ enumType }) => enumType)[0];
      if (!status) throw new Error('health.proto has no enum');
      status.value = status.value.filter(({ number }) => number !== 3);
      status.reservedRange = reserved.map((range) => create(EnumDescriptorProto_EnumReservedRangeSchema, range));
      return breakingChanges(file_grpc_health_v1_health, built(proto)).map(({ element }) => element);
    };
    const named = ['grpc.health.v1.HealthCheckResponse.ServingStatus.SERVICE_UNKNOWN'];
    expect(without()).toEqual(named);
    expect(without({ start: 4, end: 9 })).toEqual(named);
    expect(without({ start: 3, end: 3 })).toEqual([]);
  });

  test('a number that is reserved stays so', () => {
    const reserving = (fields: [number, number][], values: [number, number][]) => {
      const proto = clone(FileDescriptorProtoSchema, file_grpc_health_v1_health.proto);
      for (const message of proto.messageType) {
        message.reservedRange = fields.map(([start, end]) =>
          create(DescriptorProto_ReservedRangeSchema, { start, end }),
        );
        for (const type of message.enumType)
          type.reservedRange = values.map(([start, end]) =>
            create(EnumDescriptorProto_EnumReservedRangeSchema, { start, end }),
          );
      }
      return built(proto);
    };
    const before = reserving([[5, 9]], [[5, 9]]);
    const named = (...after: Parameters<typeof reserving>) =>
      breakingChanges(before, reserving(...after)).map(({ element }) => element.replace('grpc.health.v1.', ''));
    expect(
      named(
        [
          [7, 9],
          [5, 7],
        ],
        [
          [8, 20],
          [4, 7],
        ],
      ),
    ).toEqual([]);
    const status = 'HealthCheckResponse.ServingStatus';
    expect(named([[5, 9]], [[5, 8]])).toEqual([`${status}.9`]);
    const messages = file_grpc_health_v1_health.messages.map(({ name }) => `${name}.7`).sort();
    expect(
      named(
        [
          [5, 7],
          [8, 9],
        ],
        [[5, 9]],
      ).sort(),
    ).toEqual(messages);
  });

  test('the guard says what buf says', async () => {
    const dir = await scratch();
    const images = changes.map((change, nth) => {
      // Each change in a package of its own, so that buf is asked once.
      const moved = (text: string) => text.replaceAll('shop.v1', `v${nth}`).replaceAll('shop/v1', `v${nth}`);
      const { before, after } = changed(change);
      return [before, after].map(({ proto }) =>
        fromJsonString(FileDescriptorProtoSchema, moved(toJsonString(FileDescriptorProtoSchema, proto))),
      );
    });
    const sides = ['before', 'after'] as const;
    const paths = sides.map((name) => join(dir, `${name}.binpb`));
    const edited = await Promise.all(
      sides.map(async (side) => {
        const sources = join(dir, side);
        for (const [nth, edit] of edits.entries()) {
          const pack = `v${changes.length + nth}`;
          await mkdir(join(sources, pack), { recursive: true });
          await writeFile(join(sources, pack, 'a.proto'), `edition = "2023"; package ${pack}; ${edit[side]}`);
        }
        await buf('build', sources, '-o', `${sources}.built.binpb`);
        const set = fromBinary(FileDescriptorSetSchema, await readFile(`${sources}.built.binpb`));
        return new Map(set.file.map((file) => [file.package, file]));
      }),
    );
    for (const nth of edits.keys()) images.push(edited.flatMap((files) => files.get(`v${changes.length + nth}`) ?? []));
    for (const [side, path] of paths.entries()) {
      const file = images.flatMap((image) => image[side] ?? []);
      await writeFile(path, toBinary(FileDescriptorSetSchema, create(FileDescriptorSetSchema, { file })));
    }
    const [before = '', after = ''] = paths;
    const said = await buf('breaking', after, '--against', before, '--error-format', 'json').then(
      () => '',
      (error: { readonly stdout: string }) => error.stdout,
    );
    const bufs = said
      .trim()
      .split('\n')
      .map((line) => Number(/"path":"v(\d+)\//.exec(line)?.[1]));
    const ours = images.map(([old, now]) =>
      old && now ? breakingChanges(built(old), built(now)).length > 0 : undefined,
    );
    for (const [nth, change] of [...changes, ...edits].entries()) {
      const breaks = bufs.includes(nth) || 'stricter' in change;
      expect(ours[nth], `whether it breaks: ${change.name}, where buf says:\n${said}`).toBe(breaks);
    }
    const stricter = edits.flatMap((edit, nth) => (edit.stricter ? bufs.includes(changes.length + nth) : []));
    expect(stricter, 'whether buf objects where the guard is said to be stricter').toEqual([false, false, false]);
  });
});
