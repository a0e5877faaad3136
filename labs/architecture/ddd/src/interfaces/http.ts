import type { OrderRequest, OrderService } from '../application/order-service.ts';
import { DomainError, PaymentError } from '../domain/errors.ts';
import { ConcurrencyError, NotFoundError } from '../domain/ports.ts';

/**
 * The waiter: takes orders and carries answers, and touches no knife. He refuses what he cannot read (400); what it
 * means, and whether it is allowed, others know.
 *
 * POST /orders · GET /orders/ID · PUT /orders/ID/address. Rejects on faults (database down): that is the server's 500.
 */
export function httpApi(service: OrderService): (request: Request) => Promise<Response> {
  return async (request) => {
    const [, collection, id, part, ...rest] = new URL(request.url).pathname.split('/');
    if (collection !== 'orders' || rest.length > 0) return Response.json({ error: 'No such page.' }, { status: 404 });
    try {
      if (request.method === 'POST' && id === undefined) {
        const body: unknown = await request.json().catch(() => undefined);
        if (!isOrderRequest(body)) return unreadable('{customerId, city, street, voucher?, items}');
        return Response.json({ orderId: await service.createOrder(body) }, { status: 201 });
      }
      if (request.method === 'GET' && id !== undefined && part === undefined) {
        return Response.json(await service.receipt(id));
      }
      if (request.method === 'PUT' && id !== undefined && part === 'address') {
        const body: unknown = await request.json().catch(() => undefined);
        if (!has(body, { city: 'string', street: 'string' })) return unreadable('{city, street}');
        await service.changeAddress(id, String(body['city']), String(body['street']));
        return new Response(null, { status: 204 });
      }
      return Response.json({ error: 'No such page.' }, { status: 404 });
    } catch (error) {
      const status = statusOf(error);
      if (status === undefined || !(error instanceof Error)) throw error;
      return Response.json({ error: error.message, code: error.name }, { status });
    }
  };
}

const unreadable = (shape: string) =>
  Response.json({ error: `Not readable: expected JSON ${shape}.`, code: 'Unreadable' }, { status: 400 });

function statusOf(error: unknown): number | undefined {
  if (error instanceof NotFoundError) return 404;
  if (error instanceof ConcurrencyError) return 409;
  if (error instanceof PaymentError) return 402;
  return error instanceof DomainError ? 422 : undefined;
}

function has(value: unknown, fields: Readonly<Record<string, string>>): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false;
  const entries = new Map<string, unknown>(Object.entries(value));
  return Object.entries(fields).every(([name, type]) => typeof entries.get(name) === type);
}

function isOrderRequest(value: unknown): value is OrderRequest {
  if (!has(value, { customerId: 'string', city: 'string', street: 'string' })) return false;
  const { items, voucher } = value;
  const words = { name: 'string', size: 'string', spiciness: 'string', quantity: 'number' };
  return (
    (voucher === undefined || typeof voucher === 'number') &&
    Array.isArray(items) &&
    items.every((item) => has(item, words))
  );
}
