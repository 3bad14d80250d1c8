# Both peers of tcp_proxy, which block.
#
#   perl tests/examples/tcp_proxy.pl COMMAND...
use strict;
use warnings;
use Socket;
use IO::Socket::INET;

my @command = @ARGV;
my $big     = join '', map { pack 'N', $_ * 2654435761 % 4294967296 } 1 .. 1 << 18;
my $number  = 0;
my ($proxy, $says, $port);

$SIG{PIPE} = 'IGNORE';
$SIG{ALRM} = sub { print "not ok - it hangs\n"; exit 1 };
alarm 100;
$| = 1;

sub ok {
    my ($good, $what) = @_;
    printf "%s %d - %s\n", $good ? 'ok' : 'not ok', ++$number, $what;
}

sub start {
    my $to = shift;
    $proxy = open $says, '-|', @command, @_, 0, '127.0.0.1', $to;
    ($port) = <$says> =~ /port (\d+)/ or die 'it does not listen';
}

sub stop {
    kill 'TERM', $proxy;
    close $says;    # which waits for it
    $proxy = 0;
    return $?;
}

END { kill 'KILL', $proxy if $proxy }

sub dial { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) || die "dial: $!" }

sub all { my $from = shift; local $/; my $all = <$from>; return $all // '' }

my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 64) or die "listen: $!";
start($listener->sockport, '-g', 60);

# --- both directions, and their ends
my $client = dial();
my $server = $listener->accept;
for my $pair ([$client, $server, 'there'], [$server, $client, 'back']) {
    my ($from, $to, $what) = @$pair;
    if (fork == 0) {    # writes while the other reads
        print $from $big;
        $from->flush;
        shutdown $from, 1;
        kill 'KILL', $$;    # nothing of the parent's is ended
    }
    ok(all($to) eq $big, "all bytes, and the end, $what");
    wait;
}
close $_ for $client, $server;

# --- one after the other, as they come
$client = dial();
$server = $listener->accept;
my $right = 0;
for my $i (1 .. 100) {
    my $line;
    print $client "question $i\n";
    $client->flush;
    $line = <$server>;
    $right++ if $line eq "question $i\n";
    print $server "answer $i\n";
    $server->flush;
    $line = <$client>;
    $right++ if $line eq "answer $i\n";
}
ok($right == 200, 'questions and answers');

# --- a reset ends both
setsockopt $client, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
close $client;
ok(all($server) eq '', 'a reset ends the other side');
close $server;

# --- many
my @clients = map { dial() } 1 .. 50;
my @servers = map { scalar $listener->accept } @clients;
for my $i (0 .. $#clients) { print { $clients[$i] } "client $i\n"; shutdown $clients[$i], 1 }
my %got = map { all($_) => 1 } @servers;
ok((grep { $got{"client $_\n"} } 0 .. $#clients) == 50, 'fifty at once');
close $_ for @clients, @servers;

# --- its end
$client = dial();
$server = $listener->accept;
kill 'TERM', $proxy;
print $client 'last words';
shutdown $client, 1;
ok(all($server) eq 'last words', 'one that is there goes on when it is to stop');
close $server;
ok(all($client) eq '' && stop() == 0, 'and then it ends well');

start($listener->sockport, '-g', 0.01);
$client = dial();
$server = $listener->accept;
ok(stop() == 0 && all($client) eq '', 'who goes on for longer is cut off');

start($listener->sockport);
close $listener;
ok(all(dial()) eq '', 'nobody there: the client is hung up on');
ok(stop() == 0, 'and others may come');
print "1..$number\n";
