export interface Payment {
  readonly order: string;
  readonly card: string;
}

const json = {
  serialize: (value: object) => Buffer.from(JSON.stringify(value)),
  parse: (bytes: Buffer) => JSON.parse(bytes.toString()),
};

/** `service Payment { rpc Pay(…) returns (…); }`, with JSON for its messages. */
export const payment = {
  pay: {
    path: '/parcel.Payment/Pay',
    requestStream: false,
    responseStream: false,
    requestSerialize: json.serialize,
    requestDeserialize: json.parse,
    responseSerialize: json.serialize,
    responseDeserialize: json.parse,
  },
};
