# The agenda of the table with Net::FTP.
use strict;
use warnings;
use Net::FTP;

my ($host, $port, $ca, $user, $password, $prefix) = @ARGV;
my $ftp = Net::FTP->new($host, Port => $port, Timeout => 20, Passive => 1, SSL_ca_file => $ca)
    or die "not reached: $@";

sub must {
    my ($what, $done) = @_;
    return $done if $done;
    die "$what: " . $ftp->message . " $IO::Socket::SSL::SSL_ERROR\n";
}

must("starttls", $ftp->starttls);
must("login", $ftp->login($user, $password));
must("binary", $ftp->binary);
must("get", $ftp->get("big"));
must("put", $ftp->put("up"));
# pure-ftpd names the directory itself and its parent, too.
my @names = grep { /hollow-/ } $ftp->ls("many");
open(my $listing, ">", "listing") or die $!;
print $listing "$_\n" for @names;
close($listing);
for my $name (map { s{.*/}{}r } @names) {
    must("get $name", $ftp->get("many/$name", "got/$name"));
}
must("get rest", $ftp->get("rest", "rest", $prefix));
open(my $more, "<", "more") or die $!;
binmode($more);
seek($more, $prefix, 0);
$ftp->restart($prefix);
must("put more", $ftp->put($more, "more"));
must("rename", $ftp->rename("old", "new"));
must("delete", $ftp->delete("doomed"));
$ftp->quit;
