import { Server, ServerCredentials, status } from '@grpc/grpc-js';
import { Pool } from 'pg';
import { type Payment, payment } from './payment-service.ts';
import { settings, tell } from './settings.ts';

const pool = new Pool({ connectionString: settings.postgres, max: 4 });
const seen = new Set<string>();
const server = new Server();
server.addService(payment, {
  /** The bank's line is down the first time. */
  async pay(call: { request: Payment }, answer: (error: object | null, value?: object) => void) {
    const { order, card } = call.request;
    await pool.query(`SELECT pg_sleep(${settings.slowMs / 8_000}), $1::text AS card`, [card]);
    if (seen.has(order)) return answer(null, { paid: true });
    seen.add(order);
    answer({ code: status.UNAVAILABLE, details: `the bank did not take ${card}` });
  },
});
server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  tell({ url: `127.0.0.1:${port}` });
});
