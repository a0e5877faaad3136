export const typeDefs = /* GraphQL */ `
  type Query {
    articles(first: Int = 10, order: Order): [Article!]!
    article(id: ID!): Article
    "A report on a table that was renamed last week."
    takings: Int
  }
  enum Order {
    OLDEST
    NEWEST
  }
  type Subscription {
    sold(order: Order): Int
  }
  type Mutation {
    rename(author: ID!, name: String!): Author
  }
  type Article {
    id: ID!
    title: String!
    body: String!
    author: Author
    comments(first: Int): [Comment!]!
    "What the reader who asks has written on it."
    note: String
  }
  type Author {
    id: ID!
    name: String!
    articles(first: Int): [Article!]!
  }
  type Comment {
    id: ID!
    text: String!
    author: Author
    article: Article
  }
`;
