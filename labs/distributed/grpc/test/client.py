# A client in Python that knows the contract's bytes alone. Exit code 3: there is no grpc here.
import sys

try:
    import grpc
except ImportError:
    sys.exit(3)

with grpc.insecure_channel(sys.argv[1]) as channel:
    get_price = channel.unary_unary("/shop.v1.PriceService/GetPrice")
    print(get_price(b"\x0a\x03tea", timeout=5).hex())
    try:
        get_price(b"\x0a\x04slow", timeout=0.1)
    except grpc.RpcError as error:
        print(error.code().name)
