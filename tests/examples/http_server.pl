# A client of http_server that knows nothing of it but HTTP, and blocks.
#
#   perl tests/examples/http_server.pl COMMAND...
use strict;
use warnings;
use Socket;
use IO::Socket::INET;
use File::Temp qw(tempdir);

our @command = @ARGV;
my $dir     = tempdir(CLEANUP => 1);
my $big     = join '', map { pack 'N', $_ * 2654435761 % 4294967296 } 1 .. 1 << 20;
$| = 1;
my $number  = 0;
my (%servers, %says);    # pid and output by port

$SIG{PIPE} = 'IGNORE';
$SIG{ALRM} = sub { print "not ok - it hangs\n"; stop_all(); exit 1 };
alarm 20;

sub ok {
    my ($good, $what) = @_;
    printf "%s %d - %s\n", $good ? 'ok' : 'not ok', ++$number, $what;
}

sub stop_all { kill 'KILL', values %servers }

sub put {
    my ($name, $bytes) = @_;
    open my $file, '>', "$dir/$name" or die "$name: $!";
    print $file $bytes;
    close $file;
}

# A server, and its port.
sub start {
    my @options = @_;
    my $pid = open my $says, '-|', @command, '-p', 0, @options, "$dir/root";
    my ($port) = <$says> =~ /port (\d+)/ or die 'it does not listen';
    ($servers{$port}, $says{$port}) = ($pid, $says);
    return $port;
}

# How it ended.
sub stop {
    my $port = shift;
    kill 'TERM', $servers{$port};
    close delete $says{$port};    # which waits for it
    delete $servers{$port};
    return $?;
}

sub dial {
    my $port = shift;
    return IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port)
        || die "dial: $!";
}

sub ask {
    my ($to, $what, @lines) = @_;
    print $to join "\r\n", "$what HTTP/1.1", 'Host: here', @lines, '', '';
    $to->flush;
}

# An answer: its status, its head, its body. '' if there is none.
sub answer {
    my ($from, $without_body) = @_;
    my ($head, $body) = ('', '');
    while (my $line = <$from>) {
        last if $line eq "\r\n";
        $head .= $line;
    }
    my ($status) = $head =~ m{^HTTP/1\.1 (\d+) } or return ('', $head, '');
    my ($length) = $head =~ /^Content-Length: (\d+)\r$/m;
    read $from, $body, $length unless $without_body;
    return ($status, $head, $body);
}

sub gone { my $from = shift; my $line = <$from>; return !defined $line }

# The status for one request on a connection of its own, which is then closed or
# not.
sub status {
    my ($port, $raw) = @_;
    my $c = dial($port);
    print $c $raw;
    my ($status) = answer($c);
    return $status;
}

mkdir "$dir/root";
mkdir "$dir/root/folder";
put('secret',                 'not for you');
put('root/index.html',        '<p>hello');
put('root/folder/index.html', '<p>folder');
put('root/ten',               '0123456789');
put('root/empty',             '');
put('root/a b',               'space');
put('root/big',               $big);
mkdir "$dir/root/no_index";

my $port = start('-t', 60, '-k', 60);

# --- files
{
    my $c = dial($port);
    ask($c, 'GET /ten');
    my ($status, $head, $body) = answer($c);
    ok($status == 200 && $body eq '0123456789', 'a file');
    ask($c, 'HEAD /ten');
    ($status, my $same, $body) = answer($c, 1);
    ok($status == 200 && $same =~ /^Content-Length: 10\r$/m, 'its head, on the same connection');
    for (['/', '<p>hello'], ['/folder', '<p>folder'], ['/folder/?a=b', '<p>folder'],
        ['/empty', ''], ['/a%20b', 'space'], ['//ten', '0123456789'], ['/big', $big]) {
        ask($c, "GET $_->[0]");
        ($status, $head, $body) = answer($c);
        ok($status == 200 && $body eq $_->[1], "GET $_->[0]");
    }
    for ('/none', '/ten/none', '/no_index') {
        ask($c, "GET $_");
        ok((answer($c))[0] == 404, "GET $_ is not found");
    }
    for ('/../secret', '/%2e%2e/secret', '/folder/../../secret', '/folder/..%2f..%2fsecret',
        '/..', '/a%00b', '/%zz', '/%') {
        ask($c, "GET $_");
        ($status, $head, $body) = answer($c);
        ok($status == 400 && $body !~ /not for/, "GET $_ is refused");
    }
    ask($c, 'GET /ten', 'Connection: close');
    ok((answer($c))[0] == 200 && gone($c), 'the connection ends when asked to');
}

# --- parts
{
    my $c = dial($port);
    for (['0-4', '01234', '0-4'], ['5-', '56789', '5-9'], ['-3', '789', '7-9'],
        ['0-99', '0123456789', '0-9'], ['9-9', '9', '9-9'], ['-99', '0123456789', '0-9']) {
        ask($c, 'GET /ten', "Range: bytes=$_->[0]");
        my ($status, $head, $body) = answer($c);
        ok($status == 206 && $body eq $_->[1] && $head =~ m{^Content-Range: bytes $_->[2]/10\r$}m,
            "bytes=$_->[0]");
    }
    for ('10-', '-0', '99999999999999999999-') {
        ask($c, 'GET /ten', "Range: bytes=$_");
        ok((answer($c))[0] == 416, "bytes=$_ is not there");
    }
    for ('4-2', '0-1,3-4', 'x', '') {
        ask($c, 'GET /ten', "Range: bytes=$_");
        my ($status, $head, $body) = answer($c);
        ok($status == 200 && $body eq '0123456789', "bytes=$_ is as if it were not there");
    }
}

# --- many in one piece, and one in many
{
    my $c = dial($port);
    print $c "GET /ten HTTP/1.1\r\nHost: x\r\n\r\nGET /none HTTP/1.1\r\nHost: x\r\n\r\n" x 50;
    $c->flush;
    my $right = 0;
    for (1 .. 50) {
        $right++ if (answer($c))[2] eq '0123456789';
        $right++ if (answer($c))[0] == 404;
    }
    ok($right == 100, 'a hundred requests at once are answered in order');
    setsockopt $c, Socket::IPPROTO_TCP, Socket::TCP_NODELAY, 1;
    for (split //, "GET /ten HTTP/1.1\r\nHost: x\r\n\r\n") {
        print $c $_;
        $c->flush;
    }
    ok((answer($c))[2] eq '0123456789', 'one request byte by byte');
}

# --- what it refuses
ok(status($port, "POST /ten HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody") == 405, 'POST');
ok(status($port, "GET /ten HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody") == 413, 'a body');
ok(status($port, "GET /ten HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n") == 413,
    'a body in chunks');
ok(status($port, "GET /ten HTTP/1.1\r\n\r\n") == 400, 'no Host');
ok(status($port, "GET /ten HTTP/1.0\r\n\r\n") == 200, 'but HTTP/1.0 needs none');
ok(status($port, "nonsense\r\n\r\n") == 400, 'nonsense');
ok(status($port, 'GET /' . 'x' x 4000 . " HTTP/1.1\r\nHost: x\r\n\r\n") == 414, 'a target that is too long');
ok(status($port, "GET / HTTP/1.1\r\nHost: x\r\nX: " . 'x' x (1 << 20) . "\r\n\r\n") == 431,
    'a head that is too large, sent to the end');

# --- peers that go
{
    my $c = dial($port);
    ask($c, 'GET /big');
    shutdown $c, 1;
    my ($status, $head, $body) = answer($c);
    ok($status == 200 && $body eq $big && gone($c), 'one that is half closed is answered');
    for (1 .. 20) {
        $c = dial($port);
        ask($c, 'GET /big');
        read $c, my $some, 1000;
        setsockopt $c, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
        close $c;    # a reset
        close dial($port);
    }
    ok(status($port, "GET /ten HTTP/1.1\r\nHost: x\r\n\r\n") == 200, 'resets do no harm');
}

# --- time
{
    my $idle = start('-k', 0.1);
    ok(gone(dial($idle)), 'who says nothing is hung up on');
    ok(stop($idle) == 0,  'and a server without clients ends');

    my $slow = start('-t', 0.1, '-k', 60);
    my $c    = dial($slow);
    print $c "GET /ten HTTP/1.1\r\nHo";
    $c->flush;
    ok((answer($c))[0] == 408 && gone($c), 'who says half a request is told, and hung up on');
    $c = dial($slow);
    ask($c, 'GET /big');    # and it is not read
    ok(stop($slow) == 0, 'who does not read its answer is not waited for');
}

# --- as many as there may be
{
    my $few  = start('-n', 2, '-t', 60, '-k', 60);
    my @both = (dial($few), dial($few));
    for (@both) { ask($_, 'GET /ten'); answer($_) }
    my $third = dial($few);
    ask($third, 'GET /ten');
    close $both[0];
    ok((answer($third))[0] == 200, 'one too many is answered when another has gone');
    stop($few);
}

# --- without descriptors
{
    local @command = ('sh', '-c', 'ulimit -n 24 && exec "$@"', 'sh', @command);
    my $poor = start('-t', 60, '-k', 60);
    my @many = map { dial($poor) } 1 .. 40;
    ask($_, 'GET /ten') for @many;
    my $right = 0;
    for (@many) {
        my ($status) = answer($_);
        $right++ if $status == 200 || $status == 503;
        close $_;
    }
    ok($right == 40, 'forty are answered where there are descriptors for some twenty');
    ok(stop($poor) == 0, 'and it ends well after that');
}

# --- its end
{
    my ($idle, $busy) = (dial($port), dial($port));
    ask($idle, 'GET /ten');
    answer($idle);
    ask($busy, 'GET /big');
    my $first = <$busy>;    # it is being answered
    kill 'TERM', $servers{$port};
    ok(gone($idle), 'when it is to stop, an idle connection ends');
    my ($status, $head, $body) = answer($busy);
    read $busy, $body, length $big if $status eq '';    # the rest of the head was read
    ok($first =~ / 200 / && $body eq $big && gone($busy), 'and one at work is answered to the end');
    ok(stop($port) == 0, 'then it ends well');
}

# --- under load
SKIP: {
    if (!grep { -x "$_/wrk" } split /:/, $ENV{PATH}) {
        print "skipped: no wrk\n";
        last SKIP;
    }
    my $loaded = start('-k', 60, '-t', 60);
    my $says   = `wrk -t 1 -c 50 -d 1 http://127.0.0.1:$loaded/ten`;
    ok($says =~ /[1-9]\d* requests in/ && $says !~ /Non-2xx|Socket errors/, 'wrk has nothing to say')
        or print $says;
    ok(stop($loaded) == 0, 'and it ends well after that');
}
print "1..$number\n";

END { stop_all() }
