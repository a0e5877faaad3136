// Flaw: a projection looks up in the command side's tables what the event does not tell: out of reach elsewhere, and in a rebuild it finds the present instead of the past.
// Seen in: https://github.com/zilverline/sequent/issues/383
// Caught by: a read model needs nothing but the events
import { type OrderEvent, type Projection, board as reference } from '../src/index.ts';

export * from '../src/index.ts';

export const board: Projection<OrderEvent> = {
  ...reference,
  on: {
    ...reference.on,
    ItemsChanged: async (tx, table, { data, stream }) => {
      // The tables' names as the event store makes them, under the same prefix as the read model's.
      const events = `${table.replace(/^"|_board_\d+"$/g, '')}_events`;
      await tx.query(
        `UPDATE ${table} SET items = (
           SELECT string_agg((item->>'name') || ' ×' || (item->>'quantity'), ', ')
           FROM jsonb_array_elements((
             SELECT data->'items' FROM ${events} WHERE stream = $2 AND type = 'ItemsChanged' ORDER BY version DESC LIMIT 1
           )) AS item)
         WHERE order_id = $1`,
        [data.orderId, stream],
      );
    },
  },
};
