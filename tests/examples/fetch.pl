# A server with moods, and what fetch makes of it.
#
#   perl tests/examples/fetch.pl COMMAND...
use strict;
use warnings;
use IO::Socket::INET;
use File::Temp qw(tempdir);

my @command = @ARGV;
my $dir     = tempdir(CLEANUP => 1);
my $big     = join '', map { pack 'N', $_ * 2654435761 % 4294967296 } 1 .. 1 << 16;
my $number  = 0;

$| = 1;
$SIG{PIPE} = 'IGNORE';
$SIG{ALRM} = sub { print "not ok - it hangs\n"; exit 1 };
alarm 100;

sub ok {
    my ($good, $what) = @_;
    printf "%s %d - %s\n", $good ? 'ok' : 'not ok', ++$number, $what;
}

# --- the server: what it does depends on the path

my (%asked, @kept);

sub page { my $body = shift; 'HTTP/1.1 200 OK' . "\r\nContent-Length: " . length($body) . "\r\n\r\n$body" }

sub chunks {
    my $body = shift;
    return join '', "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        (map { sprintf "%x\r\n%s\r\n", length, $_ } $body =~ /.{1,1000}/gs), "0\r\n\r\n";
}

sub answer {
    my ($to, $path) = @_;
    my $times = ++$asked{$path};
    my %moods = (
        '/gone'  => sub { "HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nno\n" },
        '/flaky' => sub { $times < 3 ? "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n" : page('at last') },
        '/cut'   => sub { substr page('0123456789'), 0, -1 },
        '/big'   => sub { chunks($big) },
        '/old'   => sub { "HTTP/1.0 200 OK\r\n\r\nto the end" },
        '/noise' => sub { "nonsense\n" },
        '/'      => sub { page('index') },
        '/never' => sub { push @kept, $to; '' },
    );
    return $moods{$path}() if $moods{$path};
    return page($asked{"/$1"} // 0) if $path =~ m{^/asked/(.*)};
    return page("page $path");
}

my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 300) or die "listen: $!";
my $port     = $listener->sockport;
my $server   = fork // die "fork: $!";
if ($server == 0) {
    while (my $c = $listener->accept) {
        my ($path) = (<$c> // '') =~ m{^GET (\S+) HTTP/1\.1\r$} or next;
        while (<$c>) { last if $_ eq "\r\n" }
        print $c answer($c, $path);
        $c->flush;
    }
    exit;
}
close $listener;
END { kill 'KILL', $server if $server }

# --- the client

# fetch of these pages: its exit status.
sub fetch {
    my ($options, @pages) = @_;
    system "@command -o $dir @$options " . join(' ', map { "http://127.0.0.1:$port$_" } @pages)
        . " >$dir/said 2>&1";
    return $? >> 8;
}

sub got {
    my $name = shift;
    open my $file, '<', "$dir/$name" or return '';
    local $/;
    return <$file> // '';
}

sub asked { my $path = shift; fetch([], "/asked/$path"); return got($path) }

ok(fetch([], '/', '/page', '/big', '/old') == 0, 'several pages');
ok(got('index.html') eq 'index' && got('page') eq 'page /page' && got('big') eq $big && got('old') eq 'to the end',
    'each in a file, as they are');
ok(fetch([], '/flaky') == 0 && got('flaky') eq 'at last', 'one that comes at the third try');
ok(fetch(['-r', 5], '/gone') == 1 && asked('gone') == 1, 'one that is not there is not asked for again');
for (['cut', 'one that ends too soon'], ['noise', 'one that is no HTTP']) {
    my ($path, $what) = @$_;
    unlink "$dir/$path";
    ok(fetch(['-r', 2], "/$path") == 1 && !-e "$dir/$path" && asked($path) == 3, "$what has its tries, and no file");
}
ok(fetch(['-r', 1, '-t', 0.1], '/never') == 1 && asked('never') <= 2, 'one that does not answer has its time');
ok(fetch(['-t', 60, '-d', 0.1], '/page', '/never') == 1, 'there is one deadline over all');
ok(fetch(['-j', 20], map { "/many-$_" } 1 .. 200) == 0, 'two hundred pages');
ok((grep { got("many-$_") eq "page /many-$_" } 1 .. 200) == 200, 'are all there');
ok(system("@command https://127.0.0.1/ >$dir/said 2>&1") >> 8 == 2, 'what it does not understand');

kill 'KILL', $server;
waitpid $server, 0;
$server = 0;
ok(fetch(['-r', 1], '/page') == 1, 'a server that is gone');
print "1..$number\n";
