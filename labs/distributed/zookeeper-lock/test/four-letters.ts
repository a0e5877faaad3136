import { connect } from 'node:net';
import type { Node } from '@shared/services';

/** What a node answers to one of ZooKeeper's words of four letters. */
export function ask(node: Node, word: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let said = '';
  const socket = connect(node.port, '127.0.0.1', () => socket.write(word));
  socket
    .on('data', (chunk) => {
      said += chunk;
    })
    .on('error', reject)
    .on('close', () => resolve(said));
  return promise;
}
