import { connect } from 'node:net';

/** Sends inline commands and reads until `enough` was seen: a client library would cost more than the server's start. */
export function ask(host: string, port: number, command: string, enough: string, timeoutMs: number): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = connect({ host, port }, () => socket.write(`${command}\r\n`));
  let reply = '';
  socket.setEncoding('utf8').on('data', (chunk) => {
    reply += chunk;
    if (reply.includes(enough) || reply.startsWith('-')) resolve(reply);
  });
  socket.setTimeout(timeoutMs, () => reject(new Error(`no answer within ${timeoutMs} ms`)));
  socket.on('error', reject).on('close', () => reject(new Error('the connection was closed')));
  return promise.finally(() => socket.destroy());
}
