import { once } from 'node:events';
import { Agent, createServer, request, type Server } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { until } from '@shared/testkit';
import { describe, expect, onTestFinished, test } from 'vitest';
import { drainServer, InvalidArgumentError } from '#lab';

/** A server that takes `workMs` for an answer. */
const serve = async (workMs: number): Promise<{ server: Server; port: number }> => {
  const server = createServer(async (_, response) => {
    await delay(workMs);
    response.end('yes');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close(() => {}).closeAllConnections());
  const address = server.address();
  return { server, port: typeof address === 'object' && address !== null ? address.port : 0 };
};

const ask = (port: number, agent: Agent | false = false) =>
  new Promise<string>((resolve) => {
    const asked = request({ host: '127.0.0.1', port, agent }, (response) => {
      response
        .resume()
        .on('end', () => resolve('answered'))
        .on('error', () => resolve('cut'));
    });
    asked.on('error', ({ message }) => resolve(message.replace(/ .*/, ''))).end();
  });

describe('a server that drains', () => {
  test('a server that is told to stop answers whatever still reaches it while the news spreads, and what is under way', async () => {
    const { server, port } = await serve(150);
    const early = ask(port);
    await until(() => new Promise((resolve) => server.getConnections((_, count) => resolve(count === 1))));
    const begun = performance.now();
    const draining = drainServer(server, { lingerMs: 800, graceMs: 2000 });
    const late: Promise<string>[] = [];
    // Well within the time for the news, however slow the machine is.
    for (; performance.now() - begun < 300; await delay(50)) late.push(ask(port));
    expect(await Promise.all([early, ...late])).toEqual(Array(late.length + 1).fill('answered'));
    expect(await draining, 'connections that were cut').toBe(0);
    expect(await ask(port), 'after the end').not.toBe('answered');
  });

  test('a client that keeps its connection open is sent away with an answer, and does not hold up the end', async () => {
    const { server, port } = await serve(5);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    onTestFinished(() => agent.destroy());
    const idle = new Agent({ keepAlive: true });
    onTestFinished(() => idle.destroy());
    expect(await ask(port, idle)).toBe('answered');
    const draining = drainServer(server, { lingerMs: 200, graceMs: 2000 });
    let ended = false;
    void draining.then(() => {
      ended = true;
    });
    const answers: string[] = [];
    while (!ended) answers.push(await ask(port, agent));
    expect(await draining).toBe(0);
    // The last one met a closed door; none was accepted and then dropped.
    expect(answers.filter((answer) => answer !== 'answered' && answer !== 'connect')).toEqual([]);
    expect(answers, 'until the door closed').toContain('answered');
  });

  test('an answer that takes longer than the grace is cut, and counted', async () => {
    const { server, port } = await serve(5000);
    const hanging = [ask(port), ask(port)];
    await until(() => new Promise((resolve) => server.getConnections((_, count) => resolve(count === 2))));
    expect(await drainServer(server, { lingerMs: 0, graceMs: 50 })).toBe(2);
    expect(await Promise.all(hanging)).not.toContain('answered');
    expect(await drainServer(createServer()), 'a server that does not listen').toBe(0);
  });

  test('a second SIGTERM does not end what the first one waits for; a time that is none is refused', async () => {
    const { server, port } = await serve(300);
    const slow = ask(port);
    await until(() => new Promise((resolve) => server.getConnections((_, count) => resolve(count === 1))));
    const first = drainServer(server, { lingerMs: 0, graceMs: 3000 });
    await until(() => !server.listening);
    await drainServer(server, { lingerMs: 0 });
    expect(await slow).toBe('answered');
    expect(await first).toBe(0);
    await expect(drainServer(createServer().listen(0), { lingerMs: Number.NaN })).rejects.toThrow(InvalidArgumentError);
  });
});
